package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
	"canton-backup/internal/encryption"
	"canton-backup/internal/seal"
	"canton-backup/internal/store"
)

// errPlain: a file that is not encrypted would leave this host, and the settings forbid it.
var errPlain = errors.New("the set is not encrypted, and REQUIRE_ENCRYPTION forbids that it leaves this host")

// keyNotice is how long before a public key expires a run begins to warn of it.
const keyNotice = 30 * 24 * time.Hour

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

// ExpiryNotices says which keys expire soon.
func ExpiryNotices(to *encryption.Recipients, now time.Time) []string {
	var notices []string
	for _, k := range to.Keys {
		if left := k.Expires.Sub(now); !k.Expires.IsZero() && left < keyNotice {
			notices = append(notices, fmt.Sprintf("public key %s expires in %d days, on %s; no backup is made after that", k.Fingerprint, int(left.Hours()/24), k.Expires.Format(time.DateOnly)))
		}
	}
	return notices
}

// key is the private key for that component: the one that was lent, else the one of the settings. Of a plain component it is nil, and so it is
// when there is none: whoever decodes then says for which keys the file opens.
func (h *Host) key(s config.Settings, c backupset.Component) (*encryption.Key, error) {
	if c.Encryption == backupset.Unencrypted {
		return nil, nil
	}
	if h.Lent != nil {
		if lent := h.Lent(); lent != nil {
			return lent, nil
		}
	}
	if s.Encryption.Key == "" {
		return nil, nil
	}
	return encryption.ReadKey(s.Encryption.Key, nil)
}

// opens proves that the private key at hand opens a component, before anything depends on it.
func (h *Host) opens(ctx context.Context, s config.Settings, from store.Store, c backupset.Component) error {
	if c.Encryption == backupset.Unencrypted {
		return nil
	}
	key, err := h.key(s, c)
	if err != nil {
		return err
	}
	if key == nil {
		return fmt.Errorf("open %s: %w: it opens for the one of %s", c.File, encryption.ErrNoKey, strings.Join(c.Recipients, " or "))
	}
	object, err := from.Open(ctx, c.File, 0)
	if err != nil {
		return err
	}
	defer object.Close()
	text, err := seal.Decode(object, c, key)
	if err != nil {
		return err
	}
	return text.Close()
}
