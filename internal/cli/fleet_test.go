package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/fleet"
)

// A line for each node, whatever is unknown of it or written in its reason.
func TestPrintFleet(t *testing.T) {
	now := time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)
	soon := now.Add(72 * time.Minute)
	run := func(status string, ago time.Duration) *fleet.Run {
		return &fleet.Run{Status: status, Started: now.Add(-ago)}
	}
	nodes := []fleet.Node{
		{Name: "validator-3", Network: "mainnet", Verdict: fleet.Failed, Every: 4 * time.Hour, Worker: fleet.None, Last: run("Completed", 26*time.Hour), Next: &soon, Reason: "no worker"},
		{Name: "v2", Verdict: fleet.Warning, Every: 4 * time.Hour, Worker: fleet.Unknown, Paused: true, Reason: "paused:\n  two\tlines"},
		{Name: "v1", Network: "devnet", Verdict: fleet.OK, Every: time.Hour, Worker: fleet.Polls, Running: true, Last: run("Completed", 38*time.Minute), Next: &soon},
	}
	var out strings.Builder
	require.NoError(t, printFleet(&out, nodes, now))
	require.Equal(t, `VERDICT  NODE         NETWORK  EVERY   LAST RUN              NEXT      WORKER   WHY
FAILED   validator-3  mainnet  4h0m0s  Completed 26h00m ago  in 1h12m  none     no worker
WARNING  v2           -        4h0m0s  -                     PAUSED    unknown  paused: two lines
OK       v1           devnet   1h0m0s  Completed 38m ago     running   polls
3 nodes: 1 OK, 1 WARNING, 1 FAILED
`, out.String())
}
