package canton_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/canton"
	"canton-backup/internal/docker"
)

func TestResolve(t *testing.T) {
	asked := func(db string) canton.Node {
		return canton.Node{Participant: &docker.Container{Name: "p-1", Env: map[string]string{"CANTON_PARTICIPANT_POSTGRES_DB": db}}}
	}
	sizes := func(names ...string) map[string]int64 {
		all := map[string]int64{}
		for _, name := range names {
			all[name] = 1
		}
		return all
	}
	for name, tc := range map[string]struct {
		node  canton.Node
		query canton.Query
		all   map[string]int64
		want  string
		err   error
		says  string
	}{
		"the participant knows":           {asked("participant-9"), canton.Query{ValidatorDB: "validator"}, sizes("validator", "participant-9", "participant-10"), "participant-9", nil, ""},
		"the setting beats it":            {asked("participant-9"), canton.Query{ValidatorDB: "validator", ParticipantDB: "participant-10"}, sizes("validator", "participant-9", "participant-10"), "participant-10", nil, ""},
		"what it names is not there":      {asked("participant-11"), canton.Query{ValidatorDB: "validator"}, sizes("validator", "participant-10"), "", canton.ErrNoDatabase, `container p-1 names "participant-11", the server has "participant-10", "validator"`},
		"nobody to ask, one candidate":    {canton.Node{}, canton.Query{ValidatorDB: "validator"}, sizes("validator", "participant"), "participant", nil, ""},
		"nobody to ask, two candidates":   {canton.Node{}, canton.Query{ValidatorDB: "validator"}, sizes("validator", "participant-9", "participant-10"), "", canton.ErrAmbiguous, `"participant-10", "participant-9"`},
		"nobody to ask, no candidate":     {canton.Node{}, canton.Query{ValidatorDB: "validator"}, sizes("validator", "other"), "", canton.ErrNoDatabase, "PARTICIPANT_DB"},
		"validator is not there":          {asked("participant"), canton.Query{ValidatorDB: "app"}, sizes("participant"), "", canton.ErrNoDatabase, `VALIDATOR_DB is "app"`},
		"one database for both":           {asked("validator"), canton.Query{ValidatorDB: "validator"}, sizes("validator"), "", canton.ErrAmbiguous, "both halves"},
		"underscore names of other hosts": {canton.Node{}, canton.Query{ValidatorDB: "cantonnet_validator"}, sizes("cantonnet_validator", "participant_4"), "participant_4", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.node.Resolve(tc.query, tc.all)
			if tc.err != nil {
				require.ErrorIs(t, err, tc.err)
				require.ErrorContains(t, err, tc.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got.Participant)
		})
	}
}

// Environment variables of the containers hold secrets; only the known harmless ones reach a manifest.
func TestFacts_HoldNoSecret(t *testing.T) {
	n := canton.Node{
		Postgres:  docker.Container{Project: "p", Env: map[string]string{"POSTGRES_PASSWORD": "canary"}, Volumes: map[string]string{"/var/lib/postgresql/data": "p_postgres-splice"}},
		Validator: &docker.Container{Env: map[string]string{"SPLICE_APP_VALIDATOR_ONBOARDING_SECRET": "canary", "SPLICE_APP_VALIDATOR_PARTY_HINT": "hint-1", "SPLICE_APP_VALIDATOR_AUTH_CLIENT_SECRET": "canary"}},
	}
	facts := n.Facts()
	require.Equal(t, map[string]string{"party_hint": "hint-1"}, facts.Launch)
	require.Equal(t, "p_postgres-splice", facts.PostgresVolume)
	require.NotContains(t, facts.Project+facts.ConfigFiles+facts.WorkingDir, "canary")
}
