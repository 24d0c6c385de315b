// Package encryption encrypts the files of backup sets to public keys, and opens them with a private key, which the node's host need
// not hold.
package encryption

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"canton-backup/internal/backupset"
)

// ErrRecipient: a public key is missing, unreadable, of the wrong kind, expired or revoked. Nothing may be made with it, least of all a plain file.
var ErrRecipient = errors.New("public key cannot be used")

// PublicKey is one key to which files are encrypted.
type PublicKey struct {
	Fingerprint string    // "age1…", "SHA256:…" of an SSH key, 40 hex digits of an OpenPGP key
	Expires     time.Time // zero: never
}

// Recipients are the keys of which any one opens what is encrypted to them.
type Recipients struct {
	Method backupset.Encryption
	Keys   []PublicKey
	open   func(io.Writer) (io.WriteCloser, error)
}

// Encrypt starts a stream to the recipients. Close ends it, and leaves the writer behind it open.
func (r *Recipients) Encrypt(to io.Writer) (io.WriteCloser, error) {
	w, err := r.open(to)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w: %w", ErrRecipient, err)
	}
	return w, nil
}

// Try encrypts a few bytes, to prove that it can be done before a dump depends on it.
func (r *Recipients) Try() error {
	w, err := r.Encrypt(io.Discard)
	if err != nil {
		return err
	}
	if _, err = w.Write([]byte("canton-backup")); err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("encrypt: %w: %w", ErrRecipient, err)
	}
	return nil
}

// Describe says how and to which keys, by their fingerprints, as a manifest records it. Of nil recipients: not at all, to none.
func (r *Recipients) Describe() (method backupset.Encryption, fingerprints []string) {
	if r == nil {
		return backupset.Unencrypted, nil
	}
	for _, k := range r.Keys {
		fingerprints = append(fingerprints, k.Fingerprint)
	}
	return r.Method, fingerprints
}

// ForAge reads age recipients: each text is "age1…", an SSH public key ("ssh-ed25519 …", "ssh-rsa …"), or the absolute path of a file with
// such lines.
func ForAge(texts []string) (*Recipients, error) {
	r := &Recipients{Method: backupset.Age}
	var keys []age.Recipient
	add := func(text string) error {
		key, print, err := ageRecipient(text)
		if err == nil {
			keys = append(keys, key)
			r.Keys = append(r.Keys, PublicKey{Fingerprint: print})
		}
		return err
	}
	for _, text := range texts {
		if !strings.HasPrefix(text, "/") {
			if err := add(text); err != nil {
				return nil, err
			}
			continue
		}
		data, err := os.ReadFile(text)
		if err != nil {
			return nil, fmt.Errorf("read age recipients: %w: %w", ErrRecipient, err)
		}
		for n, line := range strings.Split(string(data), "\n") {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if err := add(line); err != nil {
				return nil, fmt.Errorf("%s, line %d: %w", text, n+1, err)
			}
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read age recipients: %w: there is none", ErrRecipient)
	}
	r.open = func(to io.Writer) (io.WriteCloser, error) { return age.Encrypt(to, keys...) }
	return r, nil
}

func ageRecipient(text string) (age.Recipient, string, error) {
	fail := func(cause string) (age.Recipient, string, error) {
		return nil, "", fmt.Errorf("read age recipient: %w: %s", ErrRecipient, cause)
	}
	switch {
	case strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-"), strings.Contains(text, "PRIVATE KEY"):
		return fail("a private key stands where the public one belongs: put its public half (age-keygen -y) here, and keep the private one off this host")
	case strings.HasPrefix(text, "age1pq1"):
		key, err := age.ParseHybridRecipient(text)
		if err != nil {
			return fail(fmt.Sprintf("%q: %v", text, err))
		}
		return key, text, nil
	case strings.HasPrefix(text, "age1"):
		key, err := age.ParseX25519Recipient(text)
		if err != nil {
			return fail(fmt.Sprintf("%q: %v", text, err))
		}
		return key, text, nil
	case strings.HasPrefix(text, "ssh-"), strings.HasPrefix(text, "ecdsa-"), strings.HasPrefix(text, "sk-"):
		public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			return fail("the SSH key cannot be read: " + err.Error())
		}
		key, err := agessh.ParseRecipient(text)
		if err != nil {
			return fail(fmt.Sprintf("an SSH key of type %s cannot encrypt, use ssh-ed25519 or ssh-rsa: %v", public.Type(), err))
		}
		return key, ssh.FingerprintSHA256(public), nil
	}
	return fail("it is neither age1…, nor ssh-ed25519 or ssh-rsa, nor the absolute path of a file with such lines")
}
