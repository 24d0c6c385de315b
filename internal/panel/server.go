package panel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

// ErrPortTaken: another program listens where the panel was to.
var ErrPortTaken = errors.New("port is taken")

// Server is a panel on a port.
type Server struct {
	URL    string // of the page
	server *http.Server
	done   chan struct{}
}

// Serve begins to serve a panel at its Address and goes on until Close. The error wraps ErrPortTaken when the port is not free.
func Serve(o Options) (*Server, error) {
	l, err := net.Listen("tcp", o.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("serve status page at %s: %w", o.Address, ErrPortTaken)
	}
	if err != nil {
		return nil, fmt.Errorf("serve status page: %w", err)
	}
	p := New(o)
	s := &Server{URL: "http://" + l.Addr().String() + "/", done: make(chan struct{}), server: &http.Server{Handler: p,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: reportTime + 20*time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(p.options.Logger.Handler(), slog.LevelDebug)}}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.options.Logger.Error("status page ended", "error", err)
		}
	}()
	return s, nil
}

// grace is for requests under way when the worker stops. A browser's spare connection would hold it for five seconds.
const grace = time.Second

// Close ends the server, and gives requests under way a moment to end.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	<-s.done
	return err
}
