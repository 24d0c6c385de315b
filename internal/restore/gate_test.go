package restore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/restore"
)

var now = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)

// good is a set, and the node that it is of, between which nothing stands.
func good() (backupset.Manifest, restore.Live) {
	record := now.Add(-time.Hour)
	m := backupset.Manifest{Set: backupset.NewID(now.Add(-time.Hour)), Node: "n", Network: "mainnet", Verdict: backupset.Pass, Facts: backupset.NodeFacts{ServerVersion: "14.19"},
		Components: []backupset.Component{
			{Role: backupset.Validator, Database: "validator", DatabaseSize: 1 << 20},
			{Role: backupset.Participant, Database: "participant-4", DatabaseSize: 100 << 20, ParticipantEvidence: &backupset.ParticipantEvidence{
				RecordTime: &record, NodeIDs: []string{"PAR::a::1220"}, Synchronizers: []string{"global-domain::1220ab::35-4"}}},
		}}
	return m, restore.Live{Node: "n", Network: "mainnet", Participant: "PAR::a::1220", ParticipantDB: "participant-4", Synchronizers: []string{"global-domain::1220ab::35-4"},
		ServerVersion: "14.20", Free: 1 << 30, StagingFree: 1 << 30}
}

func TestClosed(t *testing.T) {
	m, live := good()
	require.Empty(t, restore.Closed(m, live, now, nil))
	for name, change := range map[string]func(m *backupset.Manifest, l *restore.Live){
		restore.GateAge: func(m *backupset.Manifest, l *restore.Live) {
			old := now.Add(-restore.MaxAge - time.Second)
			m.Components[1].ParticipantEvidence.RecordTime = &old
		},
		restore.GateAge + " by its id": func(m *backupset.Manifest, l *restore.Live) {
			m.Components[1].ParticipantEvidence.RecordTime = nil
			m.Set = backupset.NewID(now.Add(-restore.MaxAge - time.Second))
		},
		restore.GateNetwork:           func(m *backupset.Manifest, l *restore.Live) { l.Network = "testnet" },
		restore.GateNode:              func(m *backupset.Manifest, l *restore.Live) { l.Participant = "PAR::b::1220" },
		restore.GateNode + " by name": func(m *backupset.Manifest, l *restore.Live) { l.Node, l.Participant = "other", "" },
		restore.GateMigration:         func(m *backupset.Manifest, l *restore.Live) { l.ParticipantDB = "participant-5" },
		restore.GateSynchronizer:      func(m *backupset.Manifest, l *restore.Live) { l.Synchronizers[0] = "global-domain::1220ab::35-10" },
		restore.GatePair:              func(m *backupset.Manifest, l *restore.Live) { m.Verdict = backupset.Unknown },
		restore.GateDisk:              func(m *backupset.Manifest, l *restore.Live) { l.Free = 101 << 20 },
		restore.GateDisk + " to fetch": func(m *backupset.Manifest, l *restore.Live) {
			l.ToFetch, l.StagingFree = 10, 9
		},
		restore.GateServer: func(m *backupset.Manifest, l *restore.Live) { l.ServerVersion = "13.22 (Debian)" },
		restore.GateLaunch: func(m *backupset.Manifest, l *restore.Live) { l.LaunchProblems = []string{"the sponsor SV"} },
		restore.GateScan:   func(m *backupset.Manifest, l *restore.Live) { l.ScanProblem = "no route" },
		restore.GateBundle: func(m *backupset.Manifest, l *restore.Live) { l.BundleProblem = "no start.sh" },
	} {
		t.Run(name, func(t *testing.T) {
			m, live := good()
			change(&m, &live)
			gates := restore.Closed(m, live, now, nil)
			require.Len(t, gates, 1)
			require.Contains(t, name, gates[0].Name)
			require.Len(t, restore.Refused(gates), 1)
			overridden := restore.Closed(m, live, now, []string{gates[0].Name})
			require.Len(t, overridden, 1, "an override is seen, not forgotten")
			if gates[0].Name == restore.GateBundle {
				require.Len(t, restore.Refused(overridden), 1, "without start.sh there is nothing to override")
			} else {
				require.Empty(t, restore.Refused(overridden))
			}
		})
	}
	require.Equal(t, []string{"bundle", "everything"}, restore.Unknown([]string{"age", "bundle", "everything"}))
}

// What is not known closes no gate: a restore is for nodes that cannot be asked.
func TestClosed_DeadNode(t *testing.T) {
	m, _ := good()
	require.Empty(t, restore.Closed(m, restore.Live{Node: "n", Network: "mainnet", Free: restore.NotKnown}, now, nil))
	_, live := good()
	live.Synchronizers = []string{"other-domain::1220ab::35-9", "odd"}
	require.Empty(t, restore.Closed(m, live, now, nil), "another synchronizer, not a later one")
}

func TestFindKept(t *testing.T) {
	long := "participant-with-a-name-that-is-longer-than-most-äöü"
	stamp := backupset.ID("20261125_000000")
	require.LessOrEqual(t, len(restore.Name(long, restore.Before, stamp)), 63)
	all := map[string]int64{"validator": 1, long: 2, "other_before_20261125_000000": 9, "validator_before_2026": 9, "validator_restore_20261125": 9}
	for _, live := range []string{"validator", long} {
		all[restore.Name(live, restore.Before, stamp)] = 10
		all[restore.Name(live, restore.Undone, "20261125_000001")] = 20
	}
	kept := restore.FindKept(all, []string{"validator", long})
	require.Len(t, kept, 2)
	require.Equal(t, restore.Undone, kept[0].Purpose, "newest first")
	require.Equal(t, stamp, kept[1].Stamp)
	require.Equal(t, int64(20), kept[1].Bytes())
	require.Equal(t, "validator", kept[1].Databases[0].Live)
	require.Equal(t, long, kept[1].Databases[1].Live)
}
