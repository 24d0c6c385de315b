// Package gnupg is a GnuPG key ring of a test's own, with the stock program.
package gnupg

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ring is a key ring with one key.
type Ring struct {
	Dir string // GNUPGHOME
	Key string // fingerprint
	t   testing.TB
}

// New makes an empty ring. It and its agent go with the test.
func New(t testing.TB) *Ring {
	t.Helper()
	dir, err := os.MkdirTemp("", "gpg") // short: the agent's socket lies in it
	require.NoError(t, err)
	r := &Ring{Dir: dir, t: t}
	t.Cleanup(func() {
		r.EndAgent()
		require.NoError(t, os.RemoveAll(dir))
	})
	return r
}

var fingerprint = regexp.MustCompile(`(?m)^fpr:+([0-9A-F]{40}):`)

// Generate makes the key, in the words of gpg --quick-gen-key: "future-default", "default", "0" is an elliptic key that signs, with a subkey that
// encrypts, and never expires.
func (r *Ring) Generate(algorithm, usage, expires, passphrase string) {
	r.t.Helper()
	r.Run("--passphrase", passphrase, "--quick-gen-key", "backup <backup@example.com>", algorithm, usage, expires)
	r.Key = string(fingerprint.FindSubmatch(r.Run("--list-keys", "--with-colons"))[1])
}

// Public is a file with the public key, armored.
func (r *Ring) Public() string {
	r.t.Helper()
	return r.file("public.asc", r.Run("--export", "--armor", r.Key))
}

// Private is a file with the private key, armored, and locked by that passphrase as it is in the ring.
func (r *Ring) Private(passphrase string) string {
	r.t.Helper()
	return r.file("private.asc", r.Run("--passphrase", passphrase, "--export-secret-keys", "--armor", r.Key))
}

// Run runs gpg on the ring, without a question to anybody, and returns its output.
func (r *Ring) Run(args ...string) []byte {
	r.t.Helper()
	return r.run("gpg", append([]string{"--batch", "--quiet", "--pinentry-mode", "loopback"}, args...)...)
}

// EndAgent ends the ring's agent, which forgets every passphrase.
func (r *Ring) EndAgent() {
	r.t.Helper()
	r.run("gpgconf", "--kill", "all")
}

func (r *Ring) run(program string, args ...string) []byte {
	r.t.Helper()
	path, err := exec.LookPath(program)
	require.NoError(r.t, err, "make tools installs it")
	cmd := exec.Command(path, append([]string{"--homedir", r.Dir}, args...)...)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	require.NoError(r.t, cmd.Run(), "%s %v: %s", program, args, words.String())
	return out.Bytes()
}

func (r *Ring) file(name string, data []byte) string {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), name)
	require.NoError(r.t, os.WriteFile(path, data, 0o600))
	return path
}
