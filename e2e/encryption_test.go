package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/testkit/gnupg"
	"canton-backup/testbed"
)

// age makes a key pair as the operator would on another host, and sets its public half. It returns the file of the private one.
func (h *host) age() string {
	h.t.Helper()
	identity, err := age.GenerateX25519Identity()
	require.NoError(h.t, err)
	file := filepath.Join(h.t.TempDir(), "canton-backup.key")
	require.NoError(h.t, os.WriteFile(file, []byte(identity.String()+"\n"), 0o600))
	h.set("ENCRYPTION", "age", "AGE_RECIPIENTS", identity.Recipient().String())
	return file
}

// gpg makes a key in a key ring of its own, which the account's gpg uses, and sets its public half. It returns the file of the private one.
func (h *host) gpg(expires string) string {
	h.t.Helper()
	ring := gnupg.New(h.t)
	ring.Generate("future-default", "default", expires, "")
	h.env = append(h.env, "GNUPGHOME="+ring.Dir)
	h.set("ENCRYPTION", "gpg", "GPG_PUBLIC_KEYS", ring.Public())
	return ring.Private("")
}

// privateKeys are the node's, in the forms in which a dump or the identities hold them.
func privateKeys(t *testing.T, n *testbed.Node) [][]byte {
	t.Helper()
	var forms [][]byte
	for _, line := range strings.Fields(sqlOf(t, n, n.ParticipantDB(), "SELECT encode(data, 'hex') FROM participant.common_crypto_private_keys")) {
		raw, err := hex.DecodeString(line)
		require.NoError(t, err)
		forms = append(forms, raw, []byte(line), []byte(base64.StdEncoding.EncodeToString(raw)))
	}
	require.NotEmpty(t, forms)
	return forms
}

// watcher looks into every file below folders, and into what the processes of ours hold open, all the time.
type watcher struct {
	canaries [][]byte
	folders  []string
	looked   atomic.Int64
	found    atomic.Pointer[string]
	stop     chan struct{}
	ended    chan struct{}
}

func watch(canaries [][]byte, folders ...string) *watcher {
	w := &watcher{canaries: canaries, folders: folders, stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for {
			select {
			case <-w.stop:
				return
			default:
			}
			w.round()
		}
	}()
	return w
}

func (w *watcher) round() {
	for _, folder := range w.folders {
		_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				w.look(path)
			}
			return nil // files come and go
		})
	}
	// Files without a name, too.
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, path := range open {
		if target, err := os.Readlink(path); err == nil && strings.HasSuffix(target, "(deleted)") && strings.HasPrefix(target, "/") {
			if exe, err := os.Readlink(filepath.Join(filepath.Dir(filepath.Dir(path)), "exe")); err == nil && strings.Contains(exe, "canton-backup") {
				w.look(path)
			}
		}
	}
	w.looked.Add(1)
}

func (w *watcher) look(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	w.search(path, f)
	// Compressed is as good as plain.
	for _, decode := range []func(io.Reader) (io.Reader, error){
		func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) },
	} {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return
		}
		if r, err := decode(f); err == nil {
			w.search(path, r)
		}
	}
}

func (w *watcher) search(path string, r io.Reader) {
	const overlap = 4096
	buf := make([]byte, 1<<20+overlap)
	kept := 0
	for {
		n, err := io.ReadFull(r, buf[kept:])
		seen := buf[:kept+n]
		for _, canary := range w.canaries {
			if bytes.Contains(seen, canary) {
				text := path
				w.found.CompareAndSwap(nil, &text)
			}
		}
		if err != nil {
			return
		}
		kept = copy(buf, seen[max(0, len(seen)-overlap):])
	}
}

// result ends the watcher and returns where it found a key, or nothing.
func (w *watcher) result(t *testing.T) string {
	t.Helper()
	close(w.stop)
	<-w.ended
	require.Greater(t, w.looked.Load(), int64(3), "it looked while the backup ran")
	if found := w.found.Load(); found != nil {
		return *found
	}
	return ""
}

// "No file on disk, at any moment of an encrypted backup, contains the testbed's private-key canary". The run without encryption shows that
// the watcher finds what there is.
func TestBackup_EncryptedIsNeverPlainOnDisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(h *host)
		finds bool
	}{
		{"none", func(*host) {}, true},
		{"age", func(h *host) { h.age() }, false},
		{"gpg", func(h *host) { h.gpg("0") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, sharedNode)
			bucket := h.s3()
			c.setup(h)
			h.set("COMPRESSION", "zstd")
			temp := t.TempDir()
			h.env = append(h.env, "TMPDIR="+temp)
			w := watch(privateKeys(t, sharedNode), h.home, temp, bucket.Path(""))
			id := h.backup()
			where := w.result(t)
			require.Equal(t, c.finds, where != "", "found in %q", where)
			for _, component := range h.manifest(id).Components {
				require.Equal(t, c.name == "none", component.Encryption == backupset.Unencrypted)
				require.Equal(t, c.name == "none", len(component.Recipients) == 0)
			}
		})
	}
}

// A node comes back from an encrypted set by our own command; what is not the key, or no key, is refused before the node is touched.
func TestRestore_Encrypted(t *testing.T) {
	t.Parallel()
	n := newNode(t, testbed.Options{Flavour: testbed.Current})
	h := newHost(t, n)
	h.s3()
	ageKey := h.age()
	other := h.age()
	gpgKey := ""
	started := containerStarted(t, n)

	h.set("AGE_RECIPIENTS", publicOf(t, ageKey), "REQUIRE_ENCRYPTION", "true")
	ageSet := h.backup()
	gpgKey = h.gpg("0")
	gpgSet := h.backup()
	sqlOf(t, n, testbed.ValidatorDB, "CREATE TABLE after_the_backup ()")

	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"no key", []string{"restore", string(ageSet), "--yes"}, "KeyMissing"},
		{"wrong key", []string{"restore", string(ageSet), "--yes", "--key", other}, "KeyWrong"},
		{"key of another kind", []string{"restore", string(gpgSet), "--yes", "--key", ageKey}, "KeyWrong"},
		{"a public key", []string{"restore", string(gpgSet), "--yes", "--key", h.settings["GPG_PUBLIC_KEYS"]}, "KeyWrong"},
		{"no such file", []string{"restore", string(ageSet), "--yes", "--key", "/nowhere"}, "KeyMissing"},
		{"verify without a key", []string{"verify", string(ageSet)}, ""},
		{"drill without a key", []string{"drill", string(ageSet)}, "KeyMissing"},
	} {
		r := h.run(append(c.args, "--json")...)
		require.Equal(t, 12, r.code, "%s: %s", c.name, r.talk)
		require.Contains(t, r.talk, c.says, c.name)
	}
	require.Equal(t, started, containerStarted(t, n), "the node was not touched")
	require.Equal(t, 0, h.run("verify", string(ageSet), "--stored").code)
	r := h.run("verify", string(ageSet), "--key", ageKey)
	require.Equal(t, 0, r.code, r.talk)

	r = h.run("drill", string(ageSet), "--key", ageKey)
	require.Equal(t, 0, r.code, r.talk)
	require.Contains(t, r.out, "PASS")

	// By the command, with no worker running: the key goes to this very process.
	r = h.run("restore", string(ageSet), "--yes", "--key", ageKey, "--from", "r2")
	require.Equal(t, 0, r.code, r.talk)
	require.Equal(t, "f", sqlOf(t, n, testbed.ValidatorDB, "SELECT to_regclass('public.after_the_backup') IS NOT NULL"))
	writesAgain(t, n)

	// By a worker to which the key was lent, and which forgets it.
	w := h.startWorker()
	r = h.run("drill", string(gpgSet))
	require.Equal(t, 12, r.code, r.talk)
	r = h.run("unlock", gpgKey)
	require.Equal(t, 0, r.code, r.talk)
	r = h.run("restore", string(gpgSet), "--yes")
	require.Equal(t, 0, r.code, r.talk)
	writesAgain(t, n)
	require.Equal(t, 0, h.run("lock").code)
	require.Equal(t, 12, h.run("drill", string(gpgSet)).code)
	w.stop()
	r = h.run("unlock", gpgKey)
	require.Equal(t, 1, r.code, "no worker is there to take it: %s", r.talk)

	h.set("DECRYPTION_KEY", ageKey)
	require.Contains(t, h.run("doctor").out, "private key: FAILED")
	h.set("DECRYPTION_KEY", gpgKey)
	require.Contains(t, h.run("doctor").out, "private key: OK")

	// The key of the account's gpg.
	h.set("DECRYPTION_KEY", "gpg-agent")
	r = h.run("drill", string(gpgSet))
	require.Equal(t, 0, r.code, r.talk)
}

func publicOf(t *testing.T, keyFile string) string {
	t.Helper()
	data, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	identity, err := age.ParseX25519Identity(strings.TrimSpace(string(data)))
	require.NoError(t, err)
	return identity.Recipient().String()
}

func containerStarted(t *testing.T, n *testbed.Node) string {
	t.Helper()
	return inspect(t, n, "{{.State.StartedAt}}")
}

func writesAgain(t *testing.T, n *testbed.Node) {
	t.Helper()
	before, _, err := n.Offsets(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		end, ingested, err := n.Offsets(t.Context())
		return err == nil && end > before && ingested <= end
	}, time.Minute, 100*time.Millisecond)
}

// A key that cannot be used stops the run before a byte is dumped; nothing is made plain instead, and somebody is told.
func TestBackup_RecipientsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	private := h.gpg("seconds=2000000")
	r := h.run("doctor")
	require.Regexp(t, regexp.MustCompile(`encryption: OK — gpg, to [0-9A-F]{40}, expires in 23 days`), r.out)
	require.Contains(t, h.run("backup").talk, "expires in 23 days")
	before := len(h.list())
	for i, c := range [][]string{
		{"ENCRYPTION", "gpg", "GPG_PUBLIC_KEYS", private},
		{"ENCRYPTION", "gpg", "GPG_PUBLIC_KEYS", "/nowhere/key.asc"},
		{"ENCRYPTION", "age", "AGE_RECIPIENTS", "age1notakey"},
	} {
		h.set(c...)
		r := h.run("backup", "--json")
		require.Equal(t, 1, r.code, r.talk)
		require.Contains(t, r.talk, "RecipientInvalid")
		require.Len(t, h.telegram.messages(), i+1)
		require.Contains(t, h.telegram.messages()[i], "RecipientInvalid")
		h.forgetAlerts()
	}
	h.tidy()
	h.set("ENCRYPTION", "none", "AGE_RECIPIENTS", "", "GPG_PUBLIC_KEYS", "")
	require.Len(t, h.list(), before, strconv.Itoa(before)+" sets as before")
}

// Sets from before encryption was required stay on this host.
func TestBackup_PlainSetsStayHere(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	h.s3()
	h.backup()
	r := h.run("status")
	require.Contains(t, r.out, "PLAIN   1 set(s)")
	require.Contains(t, h.run("doctor").out, "encryption: WARNING — sets leave this host in plain text")
	h.age()
	h.set("REQUIRE_ENCRYPTION", "true")
	h.backup()
	require.Contains(t, h.run("status").out, "PLAIN   1 set(s)")
}
