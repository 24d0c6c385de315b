// Package app puts the parts together: it is the only place that builds stores, connections and workers.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"canton-backup/activities"
	"canton-backup/internal/config"
	"canton-backup/internal/docker"
	"canton-backup/internal/health"
	"canton-backup/internal/keyring"
	"canton-backup/internal/metrics"
	"canton-backup/internal/process"
	"canton-backup/internal/temporalclient"
	"canton-backup/internal/temporalserver"
	"canton-backup/workflows"
)

// ErrWorkerRuns: another worker of this node runs on this host.
var ErrWorkerRuns = errors.New("a worker of this node runs already")

const (
	dialLimit  = 30 * time.Second
	stopLimit  = 30 * time.Second
	atOneTime  = 8               // activities; a node's body has one, or one upload for each target; the watchdog, pings and alerts go on beside it
	beatAtMost = 2 * time.Second // between heartbeats that are really sent: the progress that people see
)

// Worker is a running worker, with its own Temporal server unless a cluster is configured.
type Worker struct {
	Client   client.Client
	Settings config.Settings
	UIURL    string // of the embedded server's web UI, empty without one
	Failed   <-chan error

	lock   *flock.Flock
	server *temporalserver.Server
	docker *docker.Client
	worker worker.Worker
	runLog *runLog
	keys   func() error // ends the keyring
	page   *page        // nil when HEALTH_ADDRESS is off
	counts io.Closer    // of Temporal's client
	watch  func()       // ends the watch over the cluster

	distress *Distress
}

// Options of a worker.
type Options struct {
	SettingsFile string
	Logger       *slog.Logger
	Page         bool         // serve status page and metrics
	Distress     *Distress    // the process's; nil: the worker has one of its own
	SDKLogger    *slog.Logger // of Temporal's client: it reports every failed attempt, which an operator at a terminal sees otherwise
}

// memoryLimit is where garbage is collected as eagerly as it takes: a run leaves much of it. What a process holds when none is under way is about a third of this.
const memoryLimit = 192 << 20 // bytes

// StartWorker brings a worker up: settings, lock, Temporal, queue. It does not touch the schedule. On an error all of it is down again.
func StartWorker(ctx context.Context, o Options) (_ *Worker, err error) {
	logger := o.Logger
	settings, err := config.Load(o.SettingsFile)
	if err != nil {
		return nil, err
	}
	if err := process.LowPriority(); err != nil {
		logger.Warn(err.Error())
	}
	process.UseCores(settings.Cores)
	debug.SetMemoryLimit(memoryLimit)
	w := &Worker{Settings: settings, distress: cmp.Or(o.Distress, NewDistress(o.SettingsFile))}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Stop())
		}
	}()
	if w.lock, err = lockNode(settings); err != nil {
		return nil, err
	}
	ring := &keyring.Ring{}
	if w.keys, err = ring.Serve(KeyringPath(settings)); err != nil {
		logger.Warn("no key can be lent to this worker, DECRYPTION_KEY works: " + err.Error())
	}
	if w.runLog, err = openRunLog(settings); err != nil {
		return nil, err
	}
	sdkLogger := slog.New(w.runLog.handler(o.SDKLogger.Handler()))
	failed := make(chan error, 2)
	w.Failed = failed
	if !temporalclient.Configured(nil) {
		w.server, err = temporalserver.Start(ctx, temporalserver.Options{Dir: settings.Temporal.Dir, Port: settings.Temporal.Port, UIPort: settings.Temporal.UIPort,
			Logger: logger.With("component", "temporal")})
		if err != nil {
			return nil, err
		}
		w.UIURL = w.server.UIURL()
		go func() {
			if err, ok := <-w.server.Failed(); ok {
				failed <- fmt.Errorf("run temporal: %w", err)
			}
		}()
	}
	var connected atomic.Pointer[client.Client]
	host := newHost(o.SettingsFile, Program(), nil)
	watch := observer(host, &connected)
	report := func(ctx context.Context) health.Report { r, _ := watch.Report(ctx); return r } // without one, page and metrics say so
	registry := metrics.NewRegistry(report)
	var counter client.MetricsHandler
	counter, w.counts = temporalclient.Metrics(registry, logger)
	if settings.Health.Address != "" && o.Page {
		w.page = servePage(settings, report, metrics.Handler(registry), logger.With("component", "page")) // it tells of a cluster that does not answer, too
	}
	identity := workerIdentity(settings.Node.Name)
	target := temporalclient.Target{EmbeddedAddress: EmbeddedAddress(settings), Identity: identity + strconv.Itoa(os.Getpid()), Logger: sdkLogger, MetricsHandler: counter}
	beat, dialCtx := beatCluster, ctx
	if w.server != nil {
		var cancel context.CancelFunc
		dialCtx, cancel = context.WithTimeout(ctx, dialLimit)
		defer cancel()
		beat = beatAtMost
	}
	if err := w.join(dialCtx, target, o); err != nil {
		return nil, err
	}
	if w.docker, err = docker.Connect(); err != nil {
		return nil, err
	}
	host.Docker = w.docker
	host.Keys = ring
	connected.Store(&w.Client)
	host.Health = watch.Watch
	if o.Page { // else the run takes place in a command, and there may never have been a worker
		host.Watchdog = func(ctx context.Context) string {
			return watchdogOff(ctx, w.Client, settings.Node.Name, watch.Watched())
		}
	}
	host.Running = func(ctx context.Context, id string) (*activities.Run, error) { return running(ctx, w.Client, id) }
	if err := temporalclient.EnsureSearchAttributes(ctx, w.Client, Namespace()); err != nil {
		logger.Warn(err.Error())
	} else {
		host.Searchable = true
	}
	if err := adopt(ctx, w.Client, settings.Node.Name, identity, logger); err != nil {
		return nil, err
	}
	w.worker = worker.New(w.Client, workflows.Queue(settings.Node.Name), worker.Options{
		MaxConcurrentActivityExecutionSize: atOneTime,
		WorkerStopTimeout:                  stopLimit,
		MaxHeartbeatThrottleInterval:       beat,
		// A workflow that our own defect breaks ends, and its caller raises the alarm. By default it would wait for a mended program, in silence.
		WorkflowPanicPolicy: worker.FailWorkflow,
		OnFatalError: func(err error) {
			failed <- fmt.Errorf("run worker: %w", err)
		},
	})
	workflows.Register(w.worker)
	activities.Register(w.worker, host)
	if err := w.worker.Start(); err != nil {
		w.worker = nil
		return nil, fmt.Errorf("start worker: %w", err)
	}
	return w, nil
}

// join connects to Temporal, for a cluster however long that takes, and has it watched from then on: our own server may hang, too.
func (w *Worker) join(ctx context.Context, target temporalclient.Target, o Options) error {
	address, err := target.Address()
	if err != nil {
		return err
	}
	cluster := &outage{clock: wallClock, address: address, logger: o.Logger, tell: func(uptime time.Duration, cause error) (string, error) {
		return w.distress.Tell(outageNext, uptime, cause)
	}, over: func() error { return w.Works(context.WithoutCancel(ctx)) }}
	w.Client, err = cluster.dial(ctx, func(ctx context.Context) (client.Client, error) { return temporalclient.Reach(ctx, target) })
	if err != nil {
		return err
	}
	watchCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cluster.watch(watchCtx, func(ctx context.Context) error { return temporalclient.Probe(ctx, w.Client, target.NamespaceName()) })
	}()
	w.watch = func() { cancel(); <-ended }
	return nil
}

// Stop lets running activities give way, then takes all down.
func (w *Worker) Stop() error {
	var errs []error
	if w.page != nil {
		w.page.close()
	}
	if w.watch != nil {
		w.watch()
	}
	if w.worker != nil {
		w.worker.Stop()
	}
	if w.Client != nil {
		w.Client.Close()
	}
	if w.counts != nil {
		errs = append(errs, w.counts.Close())
	}
	if w.server != nil {
		errs = append(errs, w.server.Stop())
	}
	if w.docker != nil {
		errs = append(errs, w.docker.Close())
	}
	if w.runLog != nil {
		errs = append(errs, w.runLog.Close())
	}
	if w.keys != nil {
		errs = append(errs, w.keys())
	}
	if w.lock != nil {
		errs = append(errs, w.lock.Unlock())
	}
	return errors.Join(errs...)
}

// EmbeddedAddress is where the worker of this host serves Temporal.
func EmbeddedAddress(s config.Settings) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Temporal.Port))
}

// Namespace is the Temporal namespace in use.
func Namespace() string {
	return temporalclient.Target{EmbeddedAddress: "127.0.0.1:0"}.NamespaceName()
}

// lockNode keeps a second worker of the node off this host: their dumps would end each other's.
func lockNode(s config.Settings) (*flock.Flock, error) {
	if err := os.MkdirAll(s.BackupDir, 0o700); err != nil {
		return nil, fmt.Errorf("make backup folder: %w", err)
	}
	lock := flock.New(filepath.Join(s.BackupDir, ".worker-"+s.Node.Name+".lock"), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock node %s: %w", s.Node.Name, err)
	}
	if !held {
		return nil, fmt.Errorf("lock node %s: %w (%s is locked); when it works for a cluster, set the same TEMPORAL_ADDRESS here", s.Node.Name, ErrWorkerRuns, lock.Path())
	}
	return lock, nil
}

// KeyringPath is the socket at which the node's worker takes private keys that are lent to it.
func KeyringPath(s config.Settings) string {
	return filepath.Join(s.BackupDir, ".keys-"+s.Node.Name+".sock")
}

func workerIdentity(node string) string {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "localhost"
	}
	return strings.Join([]string{"canton-backup", node, hostname, ""}, "/")
}
