package canton_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/canton"
)

func TestLaunchOf(t *testing.T) {
	const dir = "/home/op/.canton/0.7.0/splice-node/docker-compose/validator/"
	facts := func(files string, launch map[string]string) backupset.NodeFacts {
		if launch == nil {
			launch = map[string]string{"sponsor_sv_address": "https://sv", "scan_address": "https://scan", "party_hint": "v-1", "participant_identifier": "v-1"}
		}
		return backupset.NodeFacts{ConfigFiles: dir + "compose.yaml," + files, Launch: launch, Images: map[string]string{"validator": "registry:5000/x/validator-app:0.7.0"}}
	}
	plain := []string{"-s", "https://sv", "-o", "", "-p", "v-1", "-c", "https://scan"}
	for name, tc := range map[string]struct {
		facts backupset.NodeFacts
		db    string
		back  canton.Fallback
		want  []string
		lost  []string
	}{
		"with auth":            {facts("", nil), "participant", canton.Fallback{}, append(plain[:8:8], "-a"), nil},
		"without":              {facts(dir+"compose-disable-auth.yaml", nil), "participant", canton.Fallback{}, plain, nil},
		"migration of the db":  {facts("", nil), "participant-4", canton.Fallback{Migration: "3"}, append(plain[:8:8], "-m", "4", "-a"), nil},
		"an odd database name": {facts("", nil), "participant_4", canton.Fallback{Migration: "4"}, append(plain[:8:8], "-m", "4", "-a"), nil},
		"another identifier": {facts("", map[string]string{"sponsor_sv_address": "https://sv", "party_hint": "v-1", "participant_identifier": "v-2"}), "participant", canton.Fallback{},
			[]string{"-s", "https://sv", "-o", "", "-p", "v-1", "-P", "v-2", "-a"}, nil},
		"on another network": {facts(dir+"compose-onvpn-network.yaml", map[string]string{"sponsor_sv_address": "s", "party_hint": "p", "docker_network": "vpn", "bind_all": "true"}), "participant", canton.Fallback{},
			[]string{"-s", "s", "-o", "", "-p", "p", "-n", "vpn", "-a", "-E"}, nil},
		"from the settings": {facts("", map[string]string{}), "participant", canton.Fallback{Sponsor: "s", Scan: "c", PartyHint: "p"}, []string{"-s", "s", "-o", "", "-p", "p", "-c", "c", "-a"}, nil},
		"nothing known": {backupset.NodeFacts{}, "participant", canton.Fallback{}, []string{"-s", "", "-o", "", "-p", ""},
			[]string{"the party hint (-p): set PARTY_HINT", "the sponsor SV (-s): set SV_URL", "whether auth was on (-a)"}},
		"what cannot be read back": {facts(dir+"compose-bft-custom.yaml", nil), "participant", canton.Fallback{}, append(plain[:8:8], "-a"), []string{"the chosen group of SVs (-B -u -S -T)"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := canton.LaunchOf(tc.facts, tc.db, tc.back)
			require.Equal(t, tc.want, l.Arguments())
			require.Equal(t, tc.lost, l.Lost)
		})
	}
	require.Equal(t, "https://scan.sv-1", canton.ScanAddress([]string{"-s", "https://sv.sv-1", "-o", ""}))
	require.Equal(t, "c", canton.ScanAddress([]string{"-s", "s", "-c", "c"}))
	require.Equal(t, "h", canton.ScanAddress([]string{"-C", "h", "-c", "c", "-s", "s"}))
	require.Equal(t, "0.7.0", canton.LaunchOf(facts("", nil), "participant", canton.Fallback{}).Image)
	require.Equal(t, `IMAGE_TAG=0.7.0 /d/start.sh -s https://sv -o '' -p 'it'\''s'`, canton.CommandLine("/d", "0.7.0", []string{"-s", "https://sv", "-o", "", "-p", "it's"}))
}
