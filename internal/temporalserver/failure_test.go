package temporalserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/server/common/log/tag"
)

// The server's way to die is os.Exit; ours must outlive it and say so.
func TestLaunch_portLostInBetween(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	lost := taken.Addr().(*net.TCPAddr).Port
	for name, place := range map[string]int{"api": 0, "history": 1, "matching": 2, "worker": 3} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := prepareFiles(t.Context(), dir, time.Now())
			require.NoError(t, err)
			ports, err := freePorts(4)
			require.NoError(t, err)
			ports[place] = lost
			failed := make(chan error, 10)
			logger := newServerLogger(slog.New(slog.DiscardHandler), func(err error) { failed <- err })
			_, err = launch(t.Context(), Options{Dir: dir}.withDefaults(), ports[0], ports[1:], logger)
			require.ErrorContains(t, err, "address already in use")
		})
	}
}

func TestServerLogger_Fatal(t *testing.T) {
	s := &Server{failed: make(chan error, 1)}
	log := &lines{}
	logger := newServerLogger(slog.New(log), s.fail)
	returned, ended := false, make(chan struct{})
	go func() {
		defer close(ended)
		logger.With(tag.NewStringTag("service", "history")).Fatal("cannot go on", tag.Error(errors.New("disk is gone")))
		returned = true
	}()
	<-ended
	require.False(t, returned)
	require.EqualError(t, <-s.Failed(), "temporal server: cannot go on: disk is gone")
	require.Len(t, log.all(), 1)
	require.True(t, strings.HasPrefix(log.all()[0], "ERROR cannot go on"), log.all()[0])
}

func TestProbe_watch(t *testing.T) {
	s := start(t, t.TempDir())
	p, err := newProbe(s.Address())
	require.NoError(t, err)
	defer func() { require.NoError(t, p.close()) }()
	dead := make(chan error, 2)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.watch(ctx, 10*time.Millisecond, func(err error) { dead <- err })
	}()
	select {
	case err := <-dead:
		require.NoError(t, err, "a working server was called dead")
	case <-time.After(200 * time.Millisecond): // twenty looks at a working server
	}
	require.NoError(t, s.Stop())
	require.ErrorContains(t, <-dead, "check health")
	<-ended
	require.Empty(t, dead)
	cancel()
}
