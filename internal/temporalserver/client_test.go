package temporalserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"canton-backup/internal/attributes"
	"canton-backup/internal/temporalclient"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// nothing is an environment that configures no cluster, whatever the machine's own says.
type nothing struct{}

func (nothing) LookupEnv(string) (string, bool) { return "", false }
func (nothing) Environ() []string               { return nil }

// The tests of package temporalclient that need a server are here: a second test binary with the server in it would
// cost another 200 MB link.
func TestDial_waitsForServer(t *testing.T) {
	port := testPort(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var (
		c    client.Client
		err  error
		done sync.WaitGroup
		log  = &lines{}
	)
	done.Go(func() {
		c, err = temporalclient.Dial(ctx, temporalclient.Target{
			EmbeddedAddress: net.JoinHostPort(loopback, strconv.Itoa(port)), Env: nothing{}, Logger: slog.New(log)})
	})
	require.Eventually(t, func() bool { return len(log.all()) > 0 }, 20*time.Second, 10*time.Millisecond)
	startWith(t, Options{Dir: t.TempDir(), Port: port})
	done.Wait()
	require.NoError(t, err)
	defer c.Close()
	_, err = c.CheckHealth(ctx, nil)
	require.NoError(t, err)
}

func TestEnsureSearchAttributes(t *testing.T) {
	s := start(t, t.TempDir())
	c := dial(t, s.Address())
	work(t, c)

	var done sync.WaitGroup
	results := make(chan error, 4)
	for range 4 { // many workers start at once after a power cut
		done.Go(func() { results <- temporalclient.EnsureSearchAttributes(t.Context(), c, DefaultNamespace) })
	}
	done.Wait()
	close(results)
	for err := range results {
		require.NoError(t, err)
	}
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "tagged", TaskQueue: testQueue,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			attributes.Node.ValueSet("node-1"), attributes.Network.ValueSet("devnet"),
			attributes.Set.ValueSet("20261123_020000"), attributes.Outcome.ValueSet("done"),
			attributes.Bytes.ValueSet(5_000_000_000))}, "Greet", "node")
	require.NoError(t, err)
	require.NoError(t, run.Get(t.Context(), nil))
	require.Eventually(t, func() bool {
		count, err := c.CountWorkflow(t.Context(), countRequest(
			`CantonNode = "node-1" AND CantonNetwork = "devnet" AND BackupSet = "20261123_020000" `+
				`AND BackupOutcome = "done" AND BackupBytes > 4000000000`))
		return err == nil && count.GetCount() == 1
	}, 20*time.Second, 50*time.Millisecond)

	_, err = c.OperatorService().RemoveSearchAttributes(t.Context(), &operatorservice.RemoveSearchAttributesRequest{
		Namespace: DefaultNamespace, SearchAttributes: []string{"BackupBytes"}})
	require.NoError(t, err)
	_, err = c.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{
		Namespace:        DefaultNamespace,
		SearchAttributes: map[string]enumspb.IndexedValueType{"BackupBytes": enumspb.INDEXED_VALUE_TYPE_KEYWORD}})
	require.NoError(t, err)
	err = temporalclient.EnsureSearchAttributes(t.Context(), c, DefaultNamespace)
	var incomplete *temporalclient.SearchAttributesError
	require.True(t, errors.As(err, &incomplete), "%v", err)
	require.Equal(t, []string{"BackupBytes"}, incomplete.Names)
}
