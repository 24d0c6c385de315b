package encryption

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"canton-backup/internal/backupset"
)

// ForGPG reads OpenPGP public keys from files that `gpg --export` wrote, armored or not; a file may hold several. A key that cannot
// encrypt now, or of which no one can tell whether it may, is refused.
func ForGPG(files []string, now time.Time) (*Recipients, error) {
	r := &Recipients{Method: backupset.GPG}
	var keys openpgp.EntityList
	for _, file := range files {
		found, err := readPublic(file)
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			key, err := publicKey(e, now)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			r.Keys = append(r.Keys, key)
		}
		keys = append(keys, found...)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read OpenPGP keys: %w: there is none", ErrRecipient)
	}
	r.open = func(to io.Writer) (io.WriteCloser, error) { return encryptOpenPGP(to, keys) }
	return r, nil
}

func readPublic(file string) (openpgp.EntityList, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read OpenPGP key: %w: %w", ErrRecipient, err)
	}
	ring, err := readRing(data)
	if err != nil {
		return nil, fmt.Errorf("read OpenPGP key %s: %w: %w; write one with: gpg --export --armor KEY", file, ErrRecipient, err)
	}
	for _, e := range ring {
		if e.PrivateKey != nil {
			return nil, fmt.Errorf("read OpenPGP key %s: %w: it holds a private key: export the public one (gpg --export), and keep the private one off this host", file, ErrRecipient)
		}
	}
	return ring, nil
}

// readRing reads keys, armored or not.
func readRing(data []byte) (openpgp.EntityList, error) {
	if !bytes.Contains(data, []byte("-----BEGIN PGP")) {
		return openpgp.ReadKeyRing(bytes.NewReader(data))
	}
	block, err := armor.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return openpgp.ReadKeyRing(block.Body)
}

// publicKey describes the key, or says why it cannot encrypt.
func publicKey(e *openpgp.Entity, now time.Time) (PublicKey, error) {
	p := PublicKey{Fingerprint: fingerprint(e)}
	if e.Revoked(now) {
		return p, fmt.Errorf("use OpenPGP key %s: %w: it is revoked", p.Fingerprint, ErrRecipient)
	}
	self, _ := e.PrimarySelfSignature()
	if self != nil {
		p.Expires = expiry(e.PrimaryKey, self)
	}
	key, ok := e.EncryptionKey(now)
	if !ok {
		return p, fmt.Errorf("use OpenPGP key %s: %w: %s", p.Fingerprint, ErrRecipient, unusable(e, p, now))
	}
	if sub := expiry(key.PublicKey, key.SelfSignature); !sub.IsZero() && (p.Expires.IsZero() || sub.Before(p.Expires)) {
		p.Expires = sub
	}
	return p, nil
}

func unusable(e *openpgp.Entity, p PublicKey, now time.Time) string {
	if !p.Expires.IsZero() && now.After(p.Expires) {
		return "it expired on " + p.Expires.Format(time.DateOnly) + "; extend it (gpg --quick-set-expire) and export it anew"
	}
	for _, sub := range e.Subkeys {
		if at := expiry(sub.PublicKey, sub.Sig); sub.PublicKey.PubKeyAlgo.CanEncrypt() && !at.IsZero() && now.After(at) {
			return "its encryption subkey expired on " + at.Format(time.DateOnly) + "; extend it (gpg --quick-set-expire) and export it anew"
		}
	}
	return "it has no key that encrypts, it only signs, or that one is revoked"
}

func expiry(key *packet.PublicKey, sig *packet.Signature) time.Time {
	if key == nil || sig == nil || sig.KeyLifetimeSecs == nil || *sig.KeyLifetimeSecs == 0 {
		return time.Time{}
	}
	return key.CreationTime.Add(time.Duration(*sig.KeyLifetimeSecs) * time.Second).UTC()
}

func fingerprint(e *openpgp.Entity) string {
	return strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint))
}
