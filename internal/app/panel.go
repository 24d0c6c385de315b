package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"canton-backup/internal/config"
	"canton-backup/internal/health"
	"canton-backup/internal/panel"
)

const listenAgain = 5 * time.Second // between tries for an address that is taken

// page is the worker's status page with its metrics.
type page struct {
	stop context.CancelFunc
	done chan struct{}
}

// servePage serves status page and metrics in the background. An address that is taken keeps no backup from being made: it is logged, and tried
// again until it is free.
func servePage(s config.Settings, report func(context.Context) health.Report, counts http.Handler, logger *slog.Logger) *page {
	ctx, stop := context.WithCancel(context.Background())
	p := &page{stop: stop, done: make(chan struct{})}
	options := panel.Options{Address: s.Health.Address, Logger: logger, Metrics: counts, Report: report}
	go func() {
		defer close(p.done)
		for told := false; ; told = true {
			server, err := panel.Serve(options)
			if err == nil {
				<-ctx.Done()
				_ = server.Close() // whoever reads a page asks again
				return
			}
			if !told {
				logger.Warn(fmt.Sprintf("%v; trying again every %s: set another HEALTH_ADDRESS if another program has it", err, listenAgain))
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

// close ends the page.
func (p *page) close() {
	p.stop()
	<-p.done
}
