package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
	"canton-backup/internal/encryption"
	"canton-backup/internal/seal"
	"canton-backup/internal/store"
)

// errPlain: a file that is not encrypted would leave this host, and the settings forbid it.
var errPlain = errors.New("the set is not encrypted, and REQUIRE_ENCRYPTION forbids that it leaves this host")

// Recipients are the public keys to which the settings encrypt; nil when they do not.
func Recipients(s config.Settings, now time.Time) (*encryption.Recipients, error) {
	switch s.Encryption.Method {
	case backupset.Age:
		return encryption.ForAge(s.Encryption.AgeRecipients)
	case backupset.GPG:
		return encryption.ForGPG(s.Encryption.GPGPublicKeys, now)
	}
	return nil, nil
}

// planned are the recipients that the run began with. A run that would go on with others, or with none, is refused: its set might become half plain.
func planned(s config.Settings, plan Plan, now time.Time) (*encryption.Recipients, error) {
	to, err := Recipients(s, now)
	if err != nil {
		return nil, err
	}
	if method, prints := to.Describe(); method != plan.Encryption || !slices.Equal(prints, plan.Recipients) {
		return nil, &config.Error{File: s.File, Problems: []config.Problem{{Key: "ENCRYPTION", Cause: "it, or its keys, changed since the run began", Fix: "start another backup"}}}
	}
	return to, nil
}

// expiryAlerts are the times before a public key's end at which somebody is told. From the first on, every run warns.
var expiryAlerts = []time.Duration{30 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour}

// ExpiryNotices says which keys expire soon.
func ExpiryNotices(to *encryption.Recipients, now time.Time) []string {
	return expiries(to, now, func(left time.Duration) bool { return left < expiryAlerts[0] })
}

// expiryDue are the notices of keys that passed one of the times since the last backup.
func expiryDue(to *encryption.Recipients, now time.Time, every time.Duration) []string {
	return expiries(to, now, func(left time.Duration) bool {
		return slices.ContainsFunc(expiryAlerts, func(at time.Duration) bool { return left <= at && left > at-every })
	})
}

func expiries(to *encryption.Recipients, now time.Time, say func(left time.Duration) bool) []string {
	var notices []string
	for _, k := range to.Keys {
		if left := k.Expires.Sub(now); !k.Expires.IsZero() && say(left) {
			notices = append(notices, fmt.Sprintf("public key %s expires in %d days, on %s; no backup is made after that", k.Fingerprint, int(left.Hours()/24), k.Expires.Format(time.DateOnly)))
		}
	}
	return notices
}

// key is what may open that component in that run: the key with which the run began, the one that is lent, and the one of the settings. Of a plain
// component it is nil, and so it is when there is none: whoever decodes then says for which keys the file opens.
func (h *Host) key(s config.Settings, run string, c backupset.Component) (*encryption.Key, error) {
	if c.Encryption == backupset.Unencrypted {
		return nil, nil
	}
	key := encryption.Join(h.Keys.Held(run), h.Keys.Key())
	if s.Encryption.Key == "" {
		return key, nil
	}
	own, err := encryption.ReadKey(s.Encryption.Key, nil)
	if err != nil && key == nil {
		return nil, err
	}
	return encryption.Join(key, own), nil
}

// opens proves that the private key at hand opens a component, before anything depends on it, and holds the key for the run.
func (h *Host) opens(ctx context.Context, s config.Settings, run string, from store.Store, c backupset.Component) error {
	if c.Encryption == backupset.Unencrypted {
		return nil
	}
	key, err := h.key(s, run, c)
	if err != nil {
		return err
	}
	if err := Opens(ctx, from, c, key); err != nil {
		return err
	}
	h.Keys.Hold(run, key)
	return nil
}

// Opens proves that the key opens an encrypted component of the store. Only the beginning is read, unless that does not open: then all of it, to
// tell a file that rotted there from one for another key.
func Opens(ctx context.Context, from store.Store, c backupset.Component, key *encryption.Key) error {
	object, err := from.Open(ctx, c.File, 0)
	if err != nil {
		return err
	}
	text, err := seal.Decode(ctx, object, c, key)
	if err == nil {
		return errors.Join(text.Close(), object.Close())
	}
	_ = object.Close() // it is read from the front once more
	if errors.Is(err, encryption.ErrNoKey) {
		return err
	}
	if object, err = from.Open(ctx, c.File, 0); err != nil {
		return err
	}
	return errors.Join(seal.Verify(ctx, object, c, key), object.Close())
}
