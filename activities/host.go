package activities

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/docker"
	"canton-backup/internal/notify"
	"canton-backup/internal/store"
)

// LocalStore is the store on this host that every set goes into first.
type LocalStore interface {
	catalog.Adopter
	// Path is where the object of that name lies.
	Path(name string) string
	// Free is the space left, in bytes.
	Free(ctx context.Context) (int64, error)
}

// Host is what the activities of one host work with.
type Host struct {
	SettingsFile string
	Docker       *docker.Client
	Local        func(config.Settings) (LocalStore, error)
	Remote       func(config.Settings, config.Kind) (store.Store, error)
	Notifier     func(config.Telegram) notify.Notifier
	Program      string // name and version, for manifests
	Searchable   bool   // the cluster knows our search attributes: a run that sets an unknown one would never get on
	Now          func() time.Time
}

func (h *Host) settings() (config.Settings, error) { return config.Load(h.SettingsFile) }

func owner(s config.Settings) catalog.Owner {
	return catalog.Owner{Node: s.Node.Name, Network: s.Node.Network}
}

// staging is where the dumps of open sets lie, on the filesystem of the local store so that sealing renames them.
func staging(s config.Settings) string { return filepath.Join(s.BackupDir, ".staging-"+s.Node.Name) }

func stagingOf(s config.Settings, set backupset.ID) string {
	return filepath.Join(staging(s), string(set))
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

// emptyStaging removes what earlier runs staged. The caller holds the node's lock.
func emptyStaging(s config.Settings) error {
	if err := os.RemoveAll(staging(s)); err != nil {
		return fmt.Errorf("clear staging folder: %w", err)
	}
	return nil
}
