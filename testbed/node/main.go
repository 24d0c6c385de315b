// Command node plays the programs of a Splice validator for the testbed: participant, validator app, nginx and Scan. It writes to
// real databases all the time, under the real names, and refuses to start on databases a real node would choke on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) {
		slog.Error("node stops", "error", err)
		os.Exit(1)
	}
}

// run plays the role that the first argument names.
func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("name a role: participant, validator, nginx, scan, fill or health")
	}
	switch role := args[0]; role {
	case "participant":
		return runParticipant(ctx)
	case "validator":
		return runValidator(ctx)
	case "nginx":
		return runNginx(ctx)
	case "scan":
		return runScan(ctx)
	case "fill":
		return runFill(ctx, args[1:])
	case "health":
		return probe(ctx, args[1:])
	default:
		return fmt.Errorf("play role: %q is unknown", role)
	}
}

// probe is the health check of the containers, which hold no curl: exit 0 when the address answers 2xx.
func probe(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("health", flag.ContinueOnError)
	timeout := flags.Duration("timeout", 2*time.Second, "how long to wait")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, flags.Arg(0), nil)
	if err != nil {
		return fmt.Errorf("probe health: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("probe health: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("probe health: %s answers %s", flags.Arg(0), res.Status)
	}
	return nil
}

// serve listens on every address until the context ends or one of the servers fails.
func serve(ctx context.Context, handlers map[string]http.Handler) error {
	failed := make(chan error, len(handlers))
	for addr, handler := range handlers {
		server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		go func() { failed <- fmt.Errorf("serve %s: %w", addr, server.ListenAndServe()) }()
		defer server.Close()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-failed:
		return err
	}
}

// env is the variable's value, or the fallback when it is unset or empty.
func env(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}
