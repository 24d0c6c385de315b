package activities

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/canton"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/deadline"
	"canton-backup/internal/docker"
	"canton-backup/internal/health"
	"canton-backup/internal/keyring"
	"canton-backup/internal/notify"
	"canton-backup/internal/postgres"
	"canton-backup/internal/store"
	"canton-backup/internal/uplink"
)

// LocalStore is the store on this host that every set goes into first.
type LocalStore interface {
	catalog.Adopter
	// Path is where the object of that name lies.
	Path(name string) string
	// Space is what is left on its disk and how large that is, in bytes.
	Space(ctx context.Context) (free, total int64, err error)
}

// Host is what the activities of one host work with.
type Host struct {
	SettingsFile string
	Docker       *docker.Client
	Local        func(config.Settings) (LocalStore, error)
	Remote       func(config.Settings, config.Kind) (store.Store, error)
	Channels     func(config.Settings) []notify.Channel // to the operator
	Program      string                                 // name and version, for manifests
	Searchable   bool                                   // the cluster knows our search attributes: a run that sets an unknown one would never get on
	Now          func() time.Time
	Keys         *keyring.Ring // private keys that operators lent to this process; nil where there is no worker
	// Health reports on the node, with every target looked at anew; nil where there is no worker.
	Health func(ctx context.Context) health.Report
	// Watchdog says why nobody looks between the runs, empty when somebody does; nil where there is no worker.
	Watchdog func(ctx context.Context) string
	// Running describes the open workflow of that id, nil when there is none.
	Running func(ctx context.Context, id string) (*Run, error)

	memory   notify.Memory  // for an alert ledger that cannot be written
	setsDisk deadline.Guard // of the local store, when an alert looks there
	reading  deadline.Guard // of the settings
	uploads  sync.Mutex     // held while one notes its rate
}

// Run is an open workflow.
type Run struct {
	Type  string
	Since time.Time
}

// settingsLimit is for a home on a disk that does not answer: each step that waits for it would keep one of the worker's places for ever.
const settingsLimit = 30 * time.Second

// settings reads the settings afresh.
func (h *Host) settings() (config.Settings, error) {
	type loaded struct {
		settings config.Settings
		err      error
	}
	found := make(chan loaded, 1)
	err := h.reading.Do(settingsLimit, func() {
		s, err := config.Load(h.SettingsFile)
		found <- loaded{s, err}
	})
	if err != nil {
		return config.Settings{}, fmt.Errorf("read settings %s: %w", h.SettingsFile, err)
	}
	l := <-found
	return l.settings, l.err
}

func owner(s config.Settings) catalog.Owner {
	return catalog.Owner{Node: s.Node.Name, Network: s.Node.Network}
}

// staging is where the dumps of open sets lie, on the filesystem of the local store so that sealing renames them.
func staging(s config.Settings) string { return filepath.Join(s.BackupDir, ".staging-"+s.Node.Name) }

func stagingOf(s config.Settings, set backupset.ID) string {
	return filepath.Join(staging(s), string(set))
}

// rates is what is known of the links to the targets.
func (h *Host) rates(s config.Settings) uplink.Rates {
	return uplink.Rates{File: besideRunLog(s, "uplink"), Lock: &h.uploads}
}

// besideRunLog is the file of that kind of this node, in the folder of the run log.
func besideRunLog(s config.Settings, kind string) string {
	node := strings.Map(func(r rune) rune { // the name may be what is wrong with the settings
		if r == '/' || r < ' ' {
			return '_'
		}
		return r
	}, s.Node.Name)
	return filepath.Join(s.Home, ".canton", "logs", kind+"-"+node+".json")
}

// target opens a target that the settings still name.
func (h *Host) target(s config.Settings, kind config.Kind) (store.Store, error) {
	for _, k := range s.Targets {
		if k == kind {
			return h.Remote(s, kind)
		}
	}
	return nil, &config.Error{File: s.File, Problems: []config.Problem{{Key: "BACKUP_TYPE", Cause: fmt.Sprintf("no longer names %q, as it did when the run began", kind), Fix: "start another backup"}}}
}

// recoveryLimit bounds the wait for a server that recovers from a crash. It ends before an attempt of any step does.
const (
	recoveryLimit = 8 * time.Minute
	recoveryLook  = 2 * time.Second
)

// open opens a session. A server that was just restarted does not listen until it has replayed its WAL, which takes longer than the
// tries of a retry policy last: it is waited for here.
func (h *Host) open(ctx context.Context, s config.Settings, node canton.Node, folder, database, app string, at *phase) (*postgres.Session, error) {
	before := at.text()
	defer at.set(before)
	for deadline := time.Now().Add(recoveryLimit); ; {
		session, err := node.Server(h.Docker, s.Node.Name, folder).Open(ctx, database, app)
		if !errors.Is(err, postgres.ErrUnreachable) || time.Now().After(deadline) {
			return session, err
		}
		at.set("waiting for postgres to answer in " + node.Postgres.Name)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(recoveryLook):
		}
	}
}

// emptyStaging removes what earlier runs staged. The caller holds the node's lock.
func emptyStaging(s config.Settings) error {
	if err := os.RemoveAll(staging(s)); err != nil {
		return fmt.Errorf("clear staging folder: %w", err)
	}
	return nil
}
