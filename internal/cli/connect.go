package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"canton-backup/internal/app"
	"canton-backup/internal/config"
	"canton-backup/internal/temporalclient"
	"canton-backup/workflows"
)

const (
	knockLimit = time.Second
	dialLimit  = 10 * time.Second
)

// errNoWorker: nothing serves Temporal on this host.
var errNoWorker = errors.New("no worker runs on this host")

// dial connects to the cluster that is configured, or to the worker of this host. errNoWorker when there is none.
func dial(ctx context.Context, s config.Settings) (client.Client, error) {
	if !temporalclient.Configured(nil) {
		conn, err := net.DialTimeout("tcp", app.EmbeddedAddress(s), knockLimit)
		if err != nil {
			return nil, fmt.Errorf("%w: nothing listens on %s; start canton-backup-worker", errNoWorker, app.EmbeddedAddress(s))
		}
		_ = conn.Close() // it answered, that is all
	}
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	return temporalclient.Dial(ctx, temporalclient.Target{EmbeddedAddress: app.EmbeddedAddress(s)})
}

// connection is a Temporal client with a worker behind it.
type connection struct {
	client.Client
	own *app.Worker // the worker that we run ourselves, nil when another one does
}

// connect finds a worker for the node, or becomes it: with none running and no cluster configured, the whole run takes place in this
// process, and leaves its history where the worker will find it.
func (c *command) connect(ctx context.Context, s config.Settings) (*connection, error) {
	cl, err := dial(ctx, s)
	if errors.Is(err, errNoWorker) {
		fmt.Fprintln(c.Err, "No worker runs on this host: the run takes place in this process.")
		own, err := app.StartWorker(ctx, app.Options{SettingsFile: c.file,
			Logger:    slog.New(slog.NewTextHandler(c.Err, &slog.HandlerOptions{Level: slog.LevelWarn})),
			SDKLogger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, err
		}
		return &connection{Client: own.Client, own: own}, nil
	}
	if err != nil {
		return nil, err
	}
	queue := workflows.Queue(s.Node.Name)
	described, err := cl.DescribeTaskQueue(ctx, queue, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	if err == nil && len(described.GetPollers()) == 0 {
		err = fmt.Errorf("no worker listens on queue %s: start canton-backup-worker on the node's host, or mend NODE_NAME", queue)
	}
	if err != nil {
		cl.Close()
		return nil, err
	}
	return &connection{Client: cl}, nil
}

func (c *connection) close() error {
	if c.own != nil {
		return c.own.Stop()
	}
	c.Client.Close()
	return nil
}

// discard is for talk that --json leaves out.
func (c *command) talk() io.Writer {
	if c.json {
		return io.Discard
	}
	return c.Err
}
