// Package temporalserver runs a whole Temporal server, its Web UI included, inside this process.
//
// It serves one host: two SQLite files in one folder, everything bound to 127.0.0.1, no password. Whoever can reach the
// two ports may start a restore, so they are never bound elsewhere. A fleet uses a cluster instead and never calls Start.
//
// This is the only package that imports go.temporal.io/server and the UI: they weigh 200 MB in a binary.
package temporalserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"go.temporal.io/server/temporal"
)

const (
	// DefaultPort is where operators and their tools (temporal, tctl) expect the API.
	DefaultPort = 7233
	// DefaultUIPort is where operators expect the Web UI.
	DefaultUIPort = 8233
	// DefaultNamespace is the one every Temporal tool uses when none is named.
	DefaultNamespace = "default"
	// DefaultRetention is how long closed runs stay visible. The server's own default of a day would hide last week's
	// failures from whoever comes to look.
	DefaultRetention = 30 * 24 * time.Hour

	loopback     = "127.0.0.1"
	startTimeout = time.Minute

	startAttempts = 3
)

// Options say where the server lives. Only Dir is required.
type Options struct {
	Dir       string        // folder of the database files, made 0700 when missing
	Port      int           // TCP port of the API; 0 takes a free one
	UIPort    int           // TCP port of the Web UI; 0 means no UI
	Namespace string        // empty means DefaultNamespace
	Retention time.Duration // of closed runs; 0 means DefaultRetention
	Logger    *slog.Logger  // nil means silence
}

// Server is a running Temporal server. Its methods may be called from any goroutine.
type Server struct {
	inner   temporal.Server
	ui      *webUI
	lock    *folderLock
	logger  *serverLogger
	port    int
	notices []string
	failed  chan error

	stopOnce  sync.Once
	stopErr   error
	stopWatch context.CancelFunc
	watchDone chan struct{}
}

// Start opens or creates the files in o.Dir, brings the server up and returns once it answers and the namespace exists.
//
// Errors to tell apart: ErrInUse, ErrPortTaken and ErrNewer. A damaged file is no error: it is set aside and replaced,
// because a backup must not wait for a broken history; Notices says so.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	o = o.withDefaults()
	if o.Dir == "" {
		return nil, errors.New("start temporal: no folder given")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve temporal folder: %w", err)
	}
	o.Dir = dir
	if err := makePrivateDir(dir); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock, failed: make(chan error, 1), port: o.Port}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	// The ports come before the files: a host where something else answers on 7233 keeps its files as they are.
	if s.port, err = apiPort(o.Port); err != nil {
		return nil, err
	}
	if s.notices, err = prepareFiles(ctx, dir, time.Now()); err != nil {
		return nil, err
	}
	for _, n := range s.notices {
		o.Logger.Warn(n)
	}
	s.logger = newServerLogger(o.Logger, s.fail)
	if err := s.run(ctx, o); err != nil {
		return nil, err
	}
	s.ui = startUI(o.UIPort, s.Address(), o.Namespace, o.Logger)
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.Retention == 0 {
		o.Retention = DefaultRetention
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// run brings the services up. All ports are checked by binding and releasing them, so another program may take one in
// between: further attempts with other inner ports cover that, and with another port of the API when the caller left it to us.
// There is none when the failed server still holds a port that the caller named: it gives it back only with the process.
func (s *Server) run(ctx context.Context, o Options) error {
	err := s.runOnce(ctx, o)
	for attempt := 1; err != nil && attempt < startAttempts && ctx.Err() == nil; attempt++ {
		if o.Port == 0 {
			port, portErr := freePort()
			if portErr != nil {
				return errors.Join(err, portErr)
			}
			s.port = port
		} else if checkPort(s.port) != nil {
			return err
		}
		err = s.runOnce(ctx, o)
	}
	return err
}

func (s *Server) runOnce(ctx context.Context, o Options) error {
	drainFailure(s.failed)
	ports, err := freePorts(innerServices, s.port, o.UIPort)
	if err != nil {
		return err
	}
	inner, err := launch(ctx, o, s.port, ports, s.logger)
	if err != nil {
		select {
		case cause := <-s.failed:
			err = errors.Join(err, cause)
		default:
		}
		return fmt.Errorf("start temporal: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	probe, err := newProbe(s.Address())
	if err == nil {
		err = probe.awaitReady(ctx, o.Namespace, o.Retention, s.failed)
	}
	if err != nil {
		s.logger.quiet()
		return errors.Join(fmt.Errorf("start temporal: %w", err), probe.close(), inner.Stop())
	}
	s.inner = inner
	watch, stop := context.WithCancel(context.Background())
	s.stopWatch, s.watchDone = stop, make(chan struct{})
	go func() {
		defer close(s.watchDone)
		defer func() { _ = probe.close() }()
		probe.watch(watch, watchInterval, s.fail)
	}()
	return nil
}

// Address is the host and port of the API.
func (s *Server) Address() string { return net.JoinHostPort(loopback, strconv.Itoa(s.port)) }

// UIURL is the address of the Web UI, or empty when it is off.
func (s *Server) UIURL() string {
	if s.ui == nil {
		return ""
	}
	return s.ui.url
}

// Notices are sentences an operator should read: files that were migrated or set aside at this start.
func (s *Server) Notices() []string { return append([]string(nil), s.notices...) }

// Failed delivers one error when the server died by itself. The process should then end and be started again: what is
// left of the server cannot be trusted. Stop does not send on it.
func (s *Server) Failed() <-chan error { return s.failed }

func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default: // the first cause is the one that counts
	}
}

// Stop ends the UI and the server and releases the folder. Workers and clients should be gone by then. Calling it again
// returns the first result.
func (s *Server) Stop() error {
	s.stopOnce.Do(func() {
		if s.logger != nil {
			// The services stop one after another and each complains about the ones that are gone already.
			s.logger.quiet()
		}
		if s.stopWatch != nil {
			s.stopWatch()
			<-s.watchDone
		}
		s.ui.stop()
		if s.inner != nil {
			s.stopErr = s.inner.Stop()
		}
		s.stopErr = errors.Join(s.stopErr, s.lock.release())
	})
	return s.stopErr
}

func drainFailure(failed chan error) {
	select {
	case <-failed:
	default:
	}
}

// makePrivateDir makes dir readable by its owner alone, also when it exists already: workflow inputs lie there in clear.
func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make temporal folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("protect temporal folder: %w", err)
	}
	return nil
}
