package encryption_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/encryption"
	"canton-backup/internal/secret"
	"canton-backup/internal/testkit/gnupg"
)

// text is what is encrypted: longer than any buffer on the way.
var text = func() []byte {
	b := make([]byte, 3<<20+17)
	_, _ = rand.Read(b[:1<<20])
	return b
}()

// run runs a stock program and returns its output.
func run(t *testing.T, in []byte, name string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(name)
	require.NoError(t, err, "make tools installs it")
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(in)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	require.NoError(t, cmd.Run(), "%s %v: %s", name, args, words.String())
	return out.Bytes()
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// sealed encrypts the text.
func sealed(t *testing.T, r *encryption.Recipients) ([]byte, backupset.Component) {
	t.Helper()
	require.NoError(t, r.Try())
	var b bytes.Buffer
	w, err := r.Encrypt(&b)
	require.NoError(t, err)
	_, err = w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NotContains(t, b.String(), string(text[:64]))
	component := backupset.Component{File: "x"}
	component.Encryption, component.Recipients = r.Describe()
	return b.Bytes(), component
}

func opened(t *testing.T, k *encryption.Key, data []byte, c backupset.Component) ([]byte, error) {
	r, err := k.Open(t.Context(), bytes.NewReader(data), c)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func never(string) (secret.String, error) { return secret.New(""), fmt.Errorf("nobody is there") }

func word(passphrase string) encryption.Passphrase {
	return func(string) (secret.String, error) { return secret.New(passphrase), nil }
}

func TestAge_StockToolsAndWeReadEachOther(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	hybrid, err := age.GenerateHybridIdentity()
	require.NoError(t, err)
	own := write(t, "key.txt", []byte("# made today\n"+identity.String()+"\n"))
	quantum := write(t, "quantum.txt", []byte(hybrid.String()+"\n"))
	dir := t.TempDir()
	ed, rsa := filepath.Join(dir, "ed"), filepath.Join(dir, "rsa")
	run(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ed)
	run(t, nil, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", rsa)
	edPublic, err := os.ReadFile(ed + ".pub")
	require.NoError(t, err)
	file := write(t, "recipients.txt", append([]byte("# our two\n\n"+identity.Recipient().String()+"\n"), edPublic...))

	for name, c := range map[string]struct {
		to   []string
		key  string
		read bool // Debian's age knows this kind
	}{
		"X25519":          {[]string{identity.Recipient().String()}, own, true},
		"post-quantum":    {[]string{hybrid.Recipient().String()}, quantum, false},
		"ssh-ed25519":     {[]string{strings.TrimSpace(string(edPublic))}, ed, true},
		"ssh-rsa":         {[]string{rsa + ".pub"}, rsa, true},
		"several, first":  {[]string{file, rsa + ".pub"}, own, true},
		"several, second": {[]string{file, rsa + ".pub"}, ed, true},
		"several, last":   {[]string{file, rsa + ".pub"}, rsa, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := encryption.ForAge(c.to)
			require.NoError(t, err)
			data, component := sealed(t, r)
			key, err := encryption.ReadKey(c.key, nil)
			require.NoError(t, err)
			got, err := opened(t, key, data, component)
			require.NoError(t, err)
			require.True(t, bytes.Equal(text, got))
			if c.read {
				require.True(t, bytes.Equal(text, run(t, data, "age", "-d", "-i", c.key)))
			}
		})
	}
	t.Run("we read what age writes", func(t *testing.T) {
		data := run(t, text, "age", "-e", "-r", identity.Recipient().String())
		key, err := encryption.ReadKey(own, nil)
		require.NoError(t, err)
		got, err := opened(t, key, data, backupset.Component{Encryption: backupset.Age})
		require.NoError(t, err)
		require.True(t, bytes.Equal(text, got))
	})
}

func TestAge_RefusedRecipients(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	for name, c := range map[string]struct{ recipient, says string }{
		"private key":     {identity.String(), "keep the private one off this host"},
		"mistyped":        {identity.Recipient().String()[:60] + "qq", "age1"},
		"ecdsa":           {ecdsaKey(t), "use ssh-ed25519 or ssh-rsa"},
		"no file":         {"/nowhere/recipients", "no such file"},
		"an empty file":   {write(t, "none", nil), "there is none"},
		"something else":  {"backup@example.com", "neither age1"},
		"key in the file": {write(t, "keys", []byte("\n"+identity.String())), "line 2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := encryption.ForAge([]string{c.recipient})
			require.ErrorIs(t, err, encryption.ErrRecipient)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), identity.String()[20:])
		})
	}
	_, err = encryption.ForAge(nil)
	require.ErrorIs(t, err, encryption.ErrRecipient)
}

func ecdsaKey(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "key")
	run(t, nil, "ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", path)
	data, err := os.ReadFile(path + ".pub")
	require.NoError(t, err)
	return strings.TrimSpace(string(data))
}

func TestKey_LockedByPassphrase(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	r, err := encryption.ForAge([]string{identity.Recipient().String()})
	require.NoError(t, err)
	data, component := sealed(t, r)
	ssh := filepath.Join(t.TempDir(), "key")
	run(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "sesame", "-f", ssh)
	sshR, err := encryption.ForAge([]string{ssh + ".pub"})
	require.NoError(t, err)
	sshData, sshComponent := sealed(t, sshR)

	scrypt, err := age.NewScryptRecipient("sesame")
	require.NoError(t, err)
	scrypt.SetWorkFactor(10)
	var locked bytes.Buffer
	w, err := age.Encrypt(&locked, scrypt)
	require.NoError(t, err)
	_, err = io.WriteString(w, identity.String()+"\n")
	require.NoError(t, err)
	require.NoError(t, w.Close())

	for name, c := range map[string]struct {
		file      string
		data      []byte
		component backupset.Component
	}{
		"age": {write(t, "locked.age", locked.Bytes()), data, component},
		"ssh": {ssh, sshData, sshComponent},
	} {
		t.Run(name, func(t *testing.T) {
			for _, ask := range []encryption.Passphrase{nil, never, word("open")} {
				_, err := encryption.ReadKey(c.file, ask)
				require.ErrorIs(t, err, encryption.ErrLocked)
			}
			key, err := encryption.ReadKey(c.file, word("sesame"))
			require.NoError(t, err)
			got, err := opened(t, key, c.data, c.component)
			require.NoError(t, err)
			require.True(t, bytes.Equal(text, got))
			require.Equal(t, "[redacted]", fmt.Sprint(key))
			require.Equal(t, "[redacted]", fmt.Sprintf("%#v", key))
		})
	}
}

func TestKey_WrongMissingOrNone(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	other, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	r, err := encryption.ForAge([]string{identity.Recipient().String()})
	require.NoError(t, err)
	data, component := sealed(t, r)

	_, err = opened(t, nil, data, component)
	require.ErrorIs(t, err, encryption.ErrNoKey)
	require.ErrorContains(t, err, identity.Recipient().String())
	key, err := encryption.ParseKey([]byte(other.String()), "other", nil)
	require.NoError(t, err)
	_, err = opened(t, key, data, component)
	require.ErrorIs(t, err, encryption.ErrWrongKey)
	component.Encryption = backupset.GPG
	_, err = opened(t, key, data, component)
	require.ErrorIs(t, err, encryption.ErrWrongKey)

	_, err = encryption.ReadKey("/nowhere/key", nil)
	require.ErrorIs(t, err, encryption.ErrNoKey)
	for _, none := range []string{"", "hello", identity.Recipient().String(), "AGE-SECRET-KEY-1" + strings.Repeat("Q", 40)} {
		_, err = encryption.ParseKey([]byte(none), "none", nil)
		require.ErrorIs(t, err, encryption.ErrWrongKey, none)
	}
}

func TestKey_AlteredOrCutFailsWhileRead(t *testing.T) {
	home := gnupg.New(t)
	home.Generate("future-default", "default", "0", "")
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	forAge, err := encryption.ForAge([]string{identity.Recipient().String()})
	require.NoError(t, err)
	forGPG, err := encryption.ForGPG([]string{home.Public()}, time.Now())
	require.NoError(t, err)
	for _, c := range []struct {
		to  *encryption.Recipients
		key string
	}{{forAge, write(t, "key", []byte(identity.String()))}, {forGPG, home.Private("")}} {
		key, err := encryption.ReadKey(c.key, nil)
		require.NoError(t, err)
		data, component := sealed(t, c.to)
		for _, at := range []int{len(data) / 2, len(data) - 1} {
			altered := bytes.Clone(data)
			altered[at] ^= 1
			_, err = opened(t, key, altered, component)
			require.Error(t, err, "%s altered at %d", c.to.Method, at)
			_, err = opened(t, key, data[:at], component)
			require.Error(t, err, "%s cut at %d", c.to.Method, at)
		}
	}
}

func TestGPG_StockToolAndWeReadEachOther(t *testing.T) {
	for _, algorithm := range []string{"default", "future-default"} {
		t.Run(algorithm, func(t *testing.T) {
			home := gnupg.New(t)
			home.Generate(algorithm, "default", "0", "")
			binary := write(t, "public.gpg", home.Run("--export", home.Key))
			for _, file := range []string{home.Public(), binary} {
				r, err := encryption.ForGPG([]string{file}, time.Now())
				require.NoError(t, err)
				_, prints := r.Describe()
				require.Equal(t, []string{home.Key}, prints)
				data, component := sealed(t, r)
				require.Less(t, len(data), len(text)+4096)
				key, err := encryption.ReadKey(home.Private(""), nil)
				require.NoError(t, err)
				got, err := opened(t, key, data, component)
				require.NoError(t, err)
				require.True(t, bytes.Equal(text, got))
				require.True(t, bytes.Equal(text, run(t, data, "gpg", "--homedir", home.Dir, "--batch", "--quiet", "-d")))
			}
			for _, compression := range []string{"none", "zlib", "bzip2"} {
				data := run(t, text, "gpg", "--homedir", home.Dir, "--batch", "--trust-model", "always", "--compress-algo", compression, "-r", home.Key, "-e")
				key, err := encryption.ReadKey(home.Private(""), nil)
				require.NoError(t, err)
				got, err := opened(t, key, data, backupset.Component{Encryption: backupset.GPG})
				require.NoError(t, err, compression)
				require.True(t, bytes.Equal(text, got))
			}
		})
	}
}

// Packets of every length around those at which they are cut, written in pieces of any size.
func TestGPG_EveryLength(t *testing.T) {
	home := gnupg.New(t)
	home.Generate("future-default", "default", "0", "")
	r, err := encryption.ForGPG([]string{home.Public()}, time.Now())
	require.NoError(t, err)
	key, err := encryption.ReadKey(home.Private(""), nil)
	require.NoError(t, err)
	for _, around := range []int{0, 16, 192, 512, 8384, 1 << 16, 1 << 17} {
		for size := max(0, around-50); size < around+50; size++ {
			var b bytes.Buffer
			w, err := r.Encrypt(&b)
			require.NoError(t, err)
			for rest := text[:size]; len(rest) > 0; {
				n := min(len(rest), 1+size/3)
				_, err := w.Write(rest[:n])
				require.NoError(t, err)
				rest = rest[n:]
			}
			require.NoError(t, w.Close())
			data := b.Bytes()
			got, err := opened(t, key, data, backupset.Component{Encryption: backupset.GPG})
			require.NoError(t, err, size)
			require.True(t, bytes.Equal(text[:size], got), size)
			if size == around {
				require.True(t, bytes.Equal(text[:size], run(t, data, "gpg", "--homedir", home.Dir, "--batch", "--quiet", "-d")), size)
			}
		}
	}
}

func TestGPG_RefusedKeys(t *testing.T) {
	good := gnupg.New(t)
	good.Generate("future-default", "default", "seconds=864000", "")
	r, err := encryption.ForGPG([]string{good.Public()}, time.Now())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(10*24*time.Hour), r.Keys[0].Expires, time.Hour)
	_, err = encryption.ForGPG([]string{good.Public()}, time.Now().Add(11*24*time.Hour))
	require.ErrorIs(t, err, encryption.ErrRecipient)
	require.ErrorContains(t, err, "expired on")

	signs := gnupg.New(t)
	signs.Generate("ed25519", "sign", "0", "")

	revoked := gnupg.New(t)
	revoked.Generate("future-default", "default", "0", "")
	certificate, err := os.ReadFile(filepath.Join(revoked.Dir, "openpgp-revocs.d", revoked.Key+".rev"))
	require.NoError(t, err)
	revoked.Run("--import", write(t, "revoke", bytes.Replace(certificate, []byte(":-----BEGIN"), []byte("-----BEGIN"), 1)))

	for name, c := range map[string]struct{ file, says string }{
		"private": {good.Private(""), "private key"},
		"signs":   {signs.Public(), "only signs"},
		"revoked": {revoked.Public(), "revoked"},
		"no file": {"/nowhere/key.asc", "no such file"},
		"no key":  {write(t, "text", []byte("hello")), "gpg --export"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := encryption.ForGPG([]string{c.file}, time.Now())
			require.ErrorIs(t, err, encryption.ErrRecipient)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestGPG_LockedKeyAndAgent(t *testing.T) {
	home := gnupg.New(t)
	home.Generate("future-default", "default", "0", "sesame")
	r, err := encryption.ForGPG([]string{home.Public()}, time.Now())
	require.NoError(t, err)
	data, component := sealed(t, r)
	file := home.Private("sesame")
	for _, ask := range []encryption.Passphrase{nil, never, word("open")} {
		_, err = encryption.ReadKey(file, ask)
		require.ErrorIs(t, err, encryption.ErrLocked)
	}
	key, err := encryption.ReadKey(file, word("sesame"))
	require.NoError(t, err)
	got, err := opened(t, key, data, component)
	require.NoError(t, err)
	require.True(t, bytes.Equal(text, got))

	t.Setenv("GNUPGHOME", home.Dir)
	agent, err := encryption.ReadKey(encryption.GPGAgent, nil)
	require.NoError(t, err)
	home.EndAgent()
	_, err = opened(t, agent, data, component)
	require.ErrorIs(t, err, encryption.ErrLocked, "a key ring that would prompt must not hang a run")
	home.Run("--passphrase", "sesame", "--output", filepath.Join(t.TempDir(), "warm"), "--decrypt", write(t, "data.gpg", data)) // the agent remembers
	got, err = opened(t, agent, data, component)
	require.NoError(t, err)
	require.True(t, bytes.Equal(text, got))

	stream, err := agent.Open(t.Context(), bytes.NewReader(data), component)
	require.NoError(t, err)
	require.NoError(t, stream.Close(), "a reader may leave early")

	t.Setenv("GNUPGHOME", gnupg.New(t).Dir)
	_, err = opened(t, agent, data, component)
	require.ErrorIs(t, err, encryption.ErrWrongKey)
}

// An agent that hangs, behind a dead socket for instance, must not hold a run for ever.
func TestGPG_AgentThatHangs(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "gpg"), []byte("#!/bin/sh\nexec sleep 1000\n"), 0o700))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	agent, err := encryption.ReadKey(encryption.GPGAgent, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	source, hold := io.Pipe() // nor a source that stands still
	defer hold.Close()
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err = agent.Open(ctx, source, backupset.Component{File: "x", Encryption: backupset.GPG, Recipients: []string{strings.Repeat("A", 40)}})
	require.Error(t, err)
	require.Error(t, ctx.Err())
}

// The key that was lent and the one of the settings count alike.
func TestJoin(t *testing.T) {
	require.Nil(t, encryption.Join(nil, nil))
	var keys []*encryption.Key
	var sets [][]byte
	var components []backupset.Component
	for range 2 {
		identity, err := age.GenerateX25519Identity()
		require.NoError(t, err)
		to, err := encryption.ForAge([]string{identity.Recipient().String()})
		require.NoError(t, err)
		data, component := sealed(t, to)
		key, err := encryption.ParseKey([]byte(identity.String()), "key", nil)
		require.NoError(t, err)
		keys, sets, components = append(keys, key), append(sets, data), append(components, component)
	}
	_, err := opened(t, keys[0], sets[1], components[1])
	require.ErrorIs(t, err, encryption.ErrWrongKey)
	both := encryption.Join(nil, keys[0], keys[1])
	for i := range sets {
		got, err := opened(t, both, sets[i], components[i])
		require.NoError(t, err)
		require.True(t, bytes.Equal(text, got))
	}
}

func BenchmarkEncrypt(b *testing.B) {
	identity, err := age.GenerateX25519Identity()
	require.NoError(b, err)
	forAge, err := encryption.ForAge([]string{identity.Recipient().String()})
	require.NoError(b, err)
	b.Run("age", func(b *testing.B) { bench(b, forAge) })
	if file := os.Getenv("GPG_PUBLIC_KEY"); file != "" {
		forGPG, err := encryption.ForGPG([]string{file}, time.Now())
		require.NoError(b, err)
		b.Run("gpg", func(b *testing.B) { bench(b, forGPG) })
	}
}

func bench(b *testing.B, r *encryption.Recipients) {
	block := make([]byte, 256<<10)
	_, _ = rand.Read(block)
	b.SetBytes(256 << 20)
	for b.Loop() {
		w, err := r.Encrypt(io.Discard)
		require.NoError(b, err)
		for range 1024 {
			_, err := w.Write(block)
			require.NoError(b, err)
		}
		require.NoError(b, w.Close())
	}
}
