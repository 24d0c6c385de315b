package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"canton-backup/internal/canton"
	"canton-backup/internal/docker"
	"canton-backup/internal/postgres"
	"canton-backup/testbed"
)

// project names the node, owner its helpers: fixed, so that a run finds what a killed one left.
const (
	project = "canton-backup-bench"
	owner   = "bench"
)

const cleanUpLimit = 2 * time.Minute

// workplace is the folder of the one benchmark that may run at a time; a second one would spoil both.
type workplace struct {
	dir  string
	lock *os.File
}

// openWorkplace empties the folder of what a killed run left.
func openWorkplace(dir string) (*workplace, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open workplace: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open workplace: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("open workplace: another benchmark runs in %s: %w", dir, err), lock.Close())
	}
	w := &workplace{dir: filepath.Join(dir, "run"), lock: lock}
	if err := errors.Join(os.RemoveAll(w.dir), os.MkdirAll(w.dir, 0o700)); err != nil {
		return nil, errors.Join(fmt.Errorf("open workplace: %w", err), lock.Close())
	}
	return w, nil
}

func (w *workplace) close() error { return errors.Join(os.RemoveAll(w.dir), w.lock.Close()) }

// rig is the node to measure on and the product's way to its server.
type rig struct {
	dir    string
	node   *testbed.Node
	engine *docker.Client
	server *postgres.Server
	meter  *meter
}

// newRig brings up a node that writes nothing by itself, so that every way dumps the same text, on a disk that is waited for.
func newRig(ctx context.Context, dir string, fillMB int) (_ *rig, err error) {
	if err := testbed.SweepDead(ctx); err != nil {
		return nil, err
	}
	r := &rig{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.engine, err = docker.Connect(); err != nil {
		return nil, err
	}
	if _, err := r.engine.RemoveHelpers(ctx, owner); err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "node")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, fmt.Errorf("make the node's home: %w", err)
	}
	if r.node, err = testbed.Up(ctx, testbed.Options{Dir: home, Project: project, Quiet: true, FillMB: fillMB}); err != nil {
		return nil, err
	}
	node, err := canton.Find(ctx, r.engine, canton.Query{Project: project})
	if err != nil {
		return nil, err
	}
	r.server = node.Server(r.engine, owner, filepath.Join(dir, "staging"))
	if r.meter, err = newMeter(ctx, r.node.Container(testbed.Postgres)); err != nil {
		return nil, err
	}
	return r, r.settle(ctx)
}

// grow adds data, then stops the programs beside the server.
func (r *rig) grow(ctx context.Context, mb int) error {
	if err := r.node.Fill(ctx, mb); err != nil {
		return err
	}
	for _, service := range []testbed.Service{testbed.Validator, testbed.Participant} {
		if err := r.node.StopService(ctx, service); err != nil {
			return err
		}
	}
	return r.settle(ctx)
}

// settle does now what the server would do in the background while we measure.
func (r *rig) settle(ctx context.Context) error {
	for _, db := range []string{testbed.ValidatorDB, r.node.ParticipantDB()} {
		for _, statement := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
			if _, err := r.node.SQL(ctx, db, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rig) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
	defer cancel()
	var errs []error
	if r.engine != nil {
		_, err := r.engine.RemoveHelpers(ctx, owner)
		errs = append(errs, err, r.engine.Close())
	}
	if r.node != nil {
		errs = append(errs, r.node.Down(ctx))
	}
	return errors.Join(errs...)
}

// settings writes the settings file of a new operator's home and returns the home.
func (r *rig) settings(name string, values map[string]string) (string, error) {
	home := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Join(home, ".canton"), 0o700); err != nil {
		return "", fmt.Errorf("make home: %w", err)
	}
	all := map[string]string{"NODE_NAME": owner, "NETWORK": "devnet", "COMPOSE_PROJECT": project, "BACKUP_TYPE": "skip", "BACKUP_EVERY": "24h"}
	for _, key := range []string{"TEMPORAL_PORT", "TEMPORAL_UI_PORT"} {
		port, err := freePort()
		if err != nil {
			return "", err
		}
		all[key] = strconv.Itoa(port)
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	all["HEALTH_ADDRESS"] = "127.0.0.1:" + strconv.Itoa(port) // the page is part of what is measured
	for key, value := range values {
		all[key] = value
	}
	var text []byte
	for key, value := range all {
		text = fmt.Appendf(text, "%s='%s'\n", key, value)
	}
	if err := os.WriteFile(filepath.Join(home, ".canton", "toolkit.conf"), text, 0o600); err != nil {
		return "", fmt.Errorf("write settings: %w", err)
	}
	return home, nil
}
