package encryption

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"github.com/ProtonMail/go-crypto/openpgp"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"golang.org/x/crypto/ssh"

	"canton-backup/internal/backupset"
	"canton-backup/internal/secret"
)

// Errors of private keys, which callers branch on.
var (
	// ErrNoKey: the file is encrypted, and no private key was given.
	ErrNoKey = errors.New("no private key")
	// ErrWrongKey: the private key is not one of those to which the file was encrypted, or is none at all.
	ErrWrongKey = errors.New("wrong private key")
	// ErrLocked: the private key wants a passphrase, and nobody is there to give it, or gave another one.
	ErrLocked = errors.New("private key is locked")
)

// GPGAgent stands for a key that the operator's gpg holds, instead of the path of a key's file.
const GPGAgent = "gpg-agent"

// Key opens encrypted files. It prints as nothing.
type Key struct {
	age   []age.Identity
	gpg   openpgp.EntityList
	agent bool
}

// String and GoString keep private keys out of every text.
func (*Key) String() string { return "[redacted]" }

// GoString is String for %#v.
func (*Key) GoString() string { return "[redacted]" }

// Passphrase asks for the passphrase of a private key, which what describes.
type Passphrase func(what string) (secret.String, error)

// ReadKey reads a private key from a file, see ParseKey, or stands for the one of gpg's agent when the file is GPGAgent.
func ReadKey(file string, ask Passphrase) (*Key, error) {
	if file == GPGAgent {
		return &Key{agent: true}, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w: %w", ErrNoKey, err)
	}
	return ParseKey(data, file, ask)
}

// ParseKey reads a private key: age identities ("AGE-SECRET-KEY-1…"), such a file encrypted with a passphrase (age -p), an OpenSSH key, or
// OpenPGP keys that `gpg --export-secret-keys` wrote. name is for messages. ask is called when there is a passphrase, and may be nil.
func ParseKey(data []byte, name string, ask Passphrase) (*Key, error) {
	fail := func(kind, cause error) (*Key, error) {
		return nil, fmt.Errorf("read private key %s: %w: %w", name, kind, cause)
	}
	passphrase := func() (string, error) {
		if ask == nil {
			return "", fmt.Errorf("read private key %s: %w: it has a passphrase", name, ErrLocked)
		}
		answer, err := ask(name)
		if err != nil {
			return "", fmt.Errorf("read private key %s: %w: %w", name, ErrLocked, err)
		}
		return answer.Reveal(), nil
	}
	text := string(data)
	switch {
	case strings.HasPrefix(text, "age-encryption.org/v1"), strings.HasPrefix(strings.TrimSpace(text), armor.Header):
		word, err := passphrase()
		if err != nil {
			return nil, err
		}
		opened, err := openScrypt(data, word)
		if err != nil {
			return fail(ErrLocked, err)
		}
		return ParseKey(opened, name, nil)
	case strings.Contains(text, "AGE-SECRET-KEY-"):
		found, err := age.ParseIdentities(bytes.NewReader(data))
		if err != nil {
			return fail(ErrWrongKey, errors.New("an age identity in it is malformed")) // the library's words may quote the line
		}
		return &Key{age: found}, nil
	case strings.Contains(text, "-----BEGIN PGP"), len(data) > 0 && data[0]&0x80 != 0:
		ring, err := readRing(data)
		if err != nil {
			return fail(ErrWrongKey, err)
		}
		if err := unlock(ring, passphrase); err != nil {
			return nil, err
		}
		if len(ring.DecryptionKeys()) == 0 {
			return fail(ErrWrongKey, errors.New("it holds no private key that decrypts: export one with gpg --export-secret-keys"))
		}
		return &Key{gpg: ring}, nil
	case strings.Contains(text, "PRIVATE KEY-----"):
		identity, err := sshIdentity(data, passphrase)
		if err != nil {
			if errors.Is(err, ErrLocked) {
				return nil, err
			}
			return fail(ErrWrongKey, err)
		}
		return &Key{age: []age.Identity{identity}}, nil
	}
	return fail(ErrWrongKey, errors.New("it is neither an age identity, nor an SSH key, nor an OpenPGP one"))
}

func openScrypt(data []byte, passphrase string) ([]byte, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	var r io.Reader = bytes.NewReader(data)
	if !bytes.HasPrefix(data, []byte("age-encryption.org/v1")) {
		r = armor.NewReader(r)
	}
	opened, err := age.Decrypt(r, identity)
	if err != nil {
		return nil, errors.New("the passphrase is wrong")
	}
	return io.ReadAll(io.LimitReader(opened, 1<<20))
}

func sshIdentity(data []byte, passphrase func() (string, error)) (age.Identity, error) {
	identity, err := agessh.ParseIdentity(data)
	var missing *ssh.PassphraseMissingError
	if !errors.As(err, &missing) {
		return identity, err
	}
	word, err := passphrase()
	if err != nil {
		return nil, err
	}
	raw, err := ssh.ParseRawPrivateKeyWithPassphrase(data, []byte(word))
	if err != nil {
		return nil, fmt.Errorf("%w: the passphrase is wrong", ErrLocked)
	}
	switch key := raw.(type) {
	case *ed25519.PrivateKey:
		return agessh.NewEd25519Identity(*key)
	case *rsa.PrivateKey:
		return agessh.NewRSAIdentity(key)
	}
	return nil, errors.New("an SSH key of this type cannot decrypt, use ssh-ed25519 or ssh-rsa")
}

// unlock takes the passphrase off every key of the ring that has one.
func unlock(ring openpgp.EntityList, passphrase func() (string, error)) error {
	for _, e := range ring {
		locked := e.PrivateKey != nil && e.PrivateKey.Encrypted && !e.PrivateKey.Dummy()
		for _, sub := range e.Subkeys {
			locked = locked || sub.PrivateKey != nil && sub.PrivateKey.Encrypted
		}
		if !locked {
			continue
		}
		word, err := passphrase()
		if err != nil {
			return err
		}
		if err := e.DecryptPrivateKeys([]byte(word)); err != nil {
			return fmt.Errorf("unlock OpenPGP key %s: %w: the passphrase is wrong", fingerprint(e), ErrLocked)
		}
	}
	return nil
}

// Join makes one key of several, any of which opens what is encrypted to it. Nil ones are left out; of none it is nil.
func Join(keys ...*Key) *Key {
	var all *Key
	for _, k := range keys {
		if k == nil {
			continue
		}
		if all == nil {
			all = &Key{}
		}
		all.age, all.gpg, all.agent = append(all.age, k.age...), append(all.gpg, k.gpg...), all.agent || k.agent
	}
	return all
}

// holds reports whether one of the OpenPGP keys read from a file is among the recipients.
func (k *Key) holds(recipients []string) bool {
	return slices.ContainsFunc(k.gpg, func(e *openpgp.Entity) bool { return slices.Contains(recipients, fingerprint(e)) })
}

// Open decrypts the stream of a component. ErrWrongKey when the key is none of its recipients'. A stream that was altered or cut fails while it
// is read. Close ends what decrypts, and leaves the stream open.
func (k *Key) Open(ctx context.Context, r io.Reader, c backupset.Component) (io.ReadCloser, error) {
	wrong := func(cause error) (io.ReadCloser, error) {
		return nil, fmt.Errorf("decrypt %s: %w: it opens for %s: %w", c.File, ErrWrongKey, strings.Join(c.Recipients, " or "), cause)
	}
	switch {
	case k == nil:
		return nil, fmt.Errorf("decrypt %s: %w: it opens for %s", c.File, ErrNoKey, strings.Join(c.Recipients, " or "))
	case k.agent && c.Encryption == backupset.GPG && !k.holds(c.Recipients):
		return openByAgent(ctx, r, c)
	case c.Encryption == backupset.Age && len(k.age) > 0:
		opened, err := age.Decrypt(r, k.age...)
		var other *age.NoIdentityMatchError
		if errors.As(err, &other) {
			return wrong(errors.New("the key given is another"))
		}
		if err != nil {
			return nil, fmt.Errorf("decrypt %s: %w", c.File, err)
		}
		return io.NopCloser(opened), nil
	case c.Encryption == backupset.GPG && len(k.gpg) > 0:
		message, err := openpgp.ReadMessage(r, k.gpg, nil, nil)
		if errors.Is(err, pgperrors.ErrKeyIncorrect) {
			return wrong(errors.New("the key given is another"))
		}
		if err != nil {
			return nil, fmt.Errorf("decrypt %s: %w", c.File, err)
		}
		return io.NopCloser(message.UnverifiedBody), nil
	}
	return wrong(fmt.Errorf("the key given is not one of %s", c.Encryption))
}
