package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"canton-backup/internal/config"
	"canton-backup/internal/health"
	"canton-backup/internal/metrics"
	"canton-backup/internal/panel"
)

const (
	listenAgain = 30 * time.Second // between tries for an address that is taken
	pageLimit   = 30 * time.Second // for an answer, and for a client to take it
)

// page is the worker's status page with its metrics.
type page struct {
	stop context.CancelFunc
	done chan struct{}
}

// servePage serves status page and metrics in the background. An address that is taken keeps no backup from being made: it is logged, and tried
// again until it is free.
func servePage(s config.Settings, watch *health.Observer, registry *prometheus.Registry, logger *slog.Logger) *page {
	ctx, stop := context.WithCancel(context.Background())
	p := &page{stop: stop, done: make(chan struct{})}
	handler := panel.New(panel.Options{Address: s.Health.Address, Logger: logger, Metrics: metrics.Handler(registry),
		Report: func(ctx context.Context) health.Report { r, _ := watch.Report(ctx); return r }}) // without one the page says so
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: pageLimit, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug)}
	go func() {
		defer close(p.done)
		for told := false; ; told = true {
			err := serve(ctx, server, s.Health.Address)
			if ctx.Err() != nil {
				return
			}
			if !told {
				logger.Warn(fmt.Sprintf("status page and metrics cannot be served, trying again every %s: %v; set another HEALTH_ADDRESS if the address is taken", listenAgain, err))
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(listenAgain):
			}
		}
	}()
	return p
}

func serve(ctx context.Context, server *http.Server, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // whoever reads a page asks again
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
}

// close ends the page.
func (p *page) close() {
	p.stop()
	<-p.done
}
