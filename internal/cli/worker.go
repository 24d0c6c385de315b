package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"canton-backup/internal/app"
	"canton-backup/internal/config"
)

// Worker is the main of canton-backup-worker: it runs until the context ends or something it cannot do without fails.
func Worker(ctx context.Context, args []string, streams Streams) int {
	c := &command{Streams: streams}
	flags := flag.NewFlagSet("canton-backup-worker", flag.ContinueOnError)
	flags.SetOutput(streams.Err)
	flags.StringVar(&c.file, "conf", "", "settings file (default ~/.canton/toolkit.conf, or $CANTON_BACKUP_CONF)")
	version := flags.Bool("version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return ExitDone
		}
		return ExitUsage
	}
	if *version {
		fmt.Fprintln(streams.Out, app.Version())
		return ExitDone
	}
	if c.file == "" {
		file, err := config.DefaultFile()
		if err != nil {
			return c.report(err)
		}
		c.file = file
	}
	distress := app.NewDistress(c.file)
	if err := distress.Prepare(); err != nil {
		fmt.Fprintln(streams.Err, "warning: "+err.Error())
	}
	start := time.Now()
	err := c.serve(ctx, distress)
	if err != nil && ctx.Err() == nil {
		note, alertErr := distress.Tell(downNext, time.Since(start), err)
		if note != "" {
			fmt.Fprintln(streams.Err, "warning: "+note)
		}
		if alertErr != nil {
			fmt.Fprintln(streams.Err, "warning: "+alertErr.Error())
		}
	}
	return c.report(err)
}

const downNext = "journalctl -u canton-backup-worker -n 50, then docs/runbooks/worker-down.md; no backup is made until then"

func (c *command) serve(ctx context.Context, distress *app.Distress) (err error) {
	logger := slog.New(slog.NewTextHandler(c.Err, &slog.HandlerOptions{Level: slog.LevelInfo}))
	w, err := app.StartWorker(ctx, app.Options{SettingsFile: c.file, Page: true, Distress: distress, Logger: logger, SDKLogger: logger.With("component", "sdk")})
	if err != nil {
		if ctx.Err() != nil {
			logger.Info("stopping before the worker was ready", "because", err)
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	for _, warning := range w.Settings.Warnings {
		logger.Warn(warning)
	}
	if err := app.ApplySchedule(ctx, w.Client, w.Settings); err != nil {
		return err
	}
	logger.Info("worker is ready", "node", w.Settings.Node.Name, "every", w.Settings.Every, "ui", w.UIURL)
	settleCtx, cancel := context.WithCancel(ctx)
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		w.Settle(settleCtx, logger)
	}()
	defer func() { cancel(); <-settled }()
	select {
	case <-ctx.Done():
		logger.Info("stopping: running steps give way and are taken up at the next start")
		return nil
	case err := <-w.Failed:
		return err
	}
}
