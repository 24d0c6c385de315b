package docker

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"
)

// An engine that takes connections and never answers is no engine: every question ends, and says so.
func TestClient_MuteEngine(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	api, err := client.NewClientWithOpts(client.WithHost("unix://"+socket), client.WithVersion("1.41"))
	require.NoError(t, err)
	c := &Client{api: api, patience: 50 * time.Millisecond}
	defer c.Close()
	for name, ask := range map[string]func() error{
		"ping":     func() error { _, err := c.Ping(t.Context()); return err },
		"services": func() error { _, err := c.Services(t.Context(), "", "x"); return err },
		"inspect":  func() error { _, err := c.Inspect(t.Context(), "x"); return err },
		"helper":   func() error { _, err := c.Start(t.Context(), HelperSpec{Command: []string{"x"}}); return err },
		"remove":   func() error { _, err := c.RemoveHelpers(t.Context(), "n"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, ask(), ErrUnavailable)
		})
	}
}
