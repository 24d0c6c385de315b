package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// tick is how often a participant publishes and a validator app ingests.
const tick = 200 * time.Millisecond

// idleSessions is how many sessions a program keeps beside the one that holds its lock: a restore has to get rid of all of them.
const idleSessions = 3

// lockKey is the advisory lock that makes a second program on the same database wait.
const lockKey = 0x5eed

// target is the database a program works on.
type target struct {
	Host, Port, User, Password, Database, Schema string
}

// database is an open target with the advisory lock held.
type database struct {
	*pgxpool.Pool
	lock *pgx.Conn
}

// dsn is the connection string, password included: it goes to the driver and nowhere else.
func (t target) dsn(application string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(t.User, t.Password), Host: net.JoinHostPort(t.Host, t.Port), Path: "/" + t.Database}
	u.RawQuery = url.Values{"application_name": {application}, "search_path": {t.Schema}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

// open connects, waits for the server and the lock, and keeps a few sessions open.
func (t target) open(ctx context.Context, application string) (*database, error) {
	dsn := t.dsn(application)
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", t.Database, err)
	}
	config.MinConns = idleSessions
	config.MaxConns = idleSessions + 3

	var lock *pgx.Conn
	deadline := time.Now().Add(30 * time.Second)
	for {
		lock, err = lockedSession(ctx, dsn)
		if err == nil {
			break
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return nil, fmt.Errorf("open database %s: %w", t.Database, err)
		}
		slog.Info("waiting for the database", "database", t.Database, "cause", err)
		pause(ctx, time.Second)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", t.Database, err)
	}
	return &database{Pool: pool, lock: lock}, nil
}

func lockedSession(ctx context.Context, dsn string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	var locked bool
	if err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lockKey).Scan(&locked); err == nil && !locked {
		err = errors.New("another program holds the database's lock")
	}
	if err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// exists tells whether a table of the program's own schema is there.
func (d *database) exists(ctx context.Context, schema, table string) (bool, error) {
	var found bool
	err := d.QueryRow(ctx, "SELECT EXISTS (SELECT FROM information_schema.tables WHERE table_schema = $1 AND table_name = $2)", schema, table).Scan(&found)
	return found, err
}

// every calls work at each tick. A program that cannot write for a while goes on trying; one that lost its lock ends, because
// another may hold it by now.
func (d *database) every(ctx context.Context, work func(context.Context) error) error {
	for ctx.Err() == nil {
		if err := d.lock.Ping(ctx); err != nil {
			return fmt.Errorf("keep the database's lock: %w", err)
		}
		if err := work(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("write", "cause", err)
		}
		pause(ctx, tick)
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
