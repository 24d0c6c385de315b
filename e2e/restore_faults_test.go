package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/testbed"
	"canton-backup/workflows"
)

// outcomes collects step, fault and outcome of the restores that were disturbed; the test prints them as a table.
type outcomes struct {
	bytes.Buffer
	table *tabwriter.Writer
}

func newOutcomes(t *testing.T) *outcomes {
	t.Helper()
	o := &outcomes{}
	o.table = tabwriter.NewWriter(&o.Buffer, 0, 0, 2, ' ', 0)
	o.add("STEP", "FAULT", "OUTCOME")
	t.Cleanup(func() {
		require.NoError(t, o.table.Flush())
		t.Log("\n" + o.String())
		report(t, o.String())
	})
	return o
}

// report adds a table to the file that `make test` prints at its end: go test shows nothing of tests that pass.
func report(t *testing.T, table string) {
	t.Helper()
	path := os.Getenv("TEST_REPORT")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	require.NoError(t, err)
	_, err = fmt.Fprintf(f, "%s\n%s\n", t.Name(), table)
	require.NoError(t, errors.Join(err, f.Close()))
}

func (o *outcomes) add(step, fault, outcome string) {
	fmt.Fprintf(o.table, "%s\t%s\t%s\n", step, fault, outcome)
}

// Kill the worker, and with it the Temporal server, as each step of a restore is scheduled: it goes on where it stopped, and the node comes up on
// the restored data.
func TestRestore_WorkerKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	node := newNode(t, testbed.Options{Strict: true})
	h := newHost(t, node)
	h.s3()
	table := newOutcomes(t)
	id, err := node.ParticipantID(t.Context())
	require.NoError(t, err)
	w := h.startWorker()
	c := h.temporal()
	set := h.backup()
	for _, step := range []string{"PlanRestore", "Fetch", "StopNode", "StartPostgres", "Load", "Check", "Swap", "StartNode"} {
		t.Run(step, func(t *testing.T) {
			sqlOf(t, node, node.ParticipantDB(), "CREATE TABLE participant.mark_of_the_old (x int)")
			run := h.restore(c, "killed-"+step, workflows.RestoreInput{Set: string(set), From: "r2", Approved: true})
			await(t, c, workflows.LockID(h.settings["NODE_NAME"]), run, step)
			w.kill()
			w = h.startWorker()
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			var result workflows.RestoreResult
			require.NoError(t, run.Get(ctx, &result))
			require.Len(t, result.Kept, 2)
			h.healthy(id)
			require.Equal(t, "0", sqlOf(t, node, node.ParticipantDB(), "SELECT count(*) FROM pg_tables WHERE tablename = 'mark_of_the_old'"), "it runs on the restored data")
			require.Equal(t, 0, h.run("restore", "--drop-old", "--yes").code)
			h.onlyLiveDatabases()
			h.tidy()
			table.add(step, "worker killed", "went on, the node runs on the restored data")
		})
	}
	require.Empty(t, h.telegram.messages())
}

// restore starts a Restore as the Web UI does.
func (h *host) restore(c client.Client, id string, in workflows.RestoreInput) client.WorkflowRun {
	h.t.Helper()
	run, err := c.ExecuteWorkflow(h.t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: workflows.Queue(h.settings["NODE_NAME"])}, "Restore", in)
	require.NoError(h.t, err)
	return run
}

// onlyLiveDatabases asserts that no database of a restore stands beside the live ones.
func (h *host) onlyLiveDatabases() {
	h.t.Helper()
	require.Equal(h.t, "2", sqlOf(h.t, h.node, "postgres", "SELECT count(*) FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"))
}

// restoreFault is one way to disturb a restore, and how it ends then.
type restoreFault struct {
	step, name string
	sabotage   func(t *testing.T, h *host, set backupset.ID) (args []string)
	code       int
	error      string
	says       []string
	undoFails  bool // the sabotage keeps the node from being started again
	untouched  bool // the node must not even have been stopped
}

// Each step of a restore fails for good once: what was done is undone, the old databases are byte for byte what they were, the node runs on them, one
// alert goes out. Where the sabotage keeps even that from succeeding, the alert says so and what to type.
func TestRestore_EveryStepFails(t *testing.T) {
	t.Parallel()
	node := newNode(t, testbed.Options{Quiet: true}) // so that the old databases can be compared
	first := newHost(t, node)
	first.s3()
	set := first.backup()
	table := newOutcomes(t)
	bundleFile := func(t *testing.T, name, content string) {
		t.Helper()
		path := filepath.Join(node.Bundle, name)
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o755))
		t.Cleanup(func() { require.NoError(t, os.WriteFile(path, before, 0o755)) })
	}
	atStart := func(t *testing.T, script string) { // start.sh does this first
		t.Helper()
		original, err := os.ReadFile(filepath.Join(node.Bundle, "start.sh"))
		require.NoError(t, err)
		shebang, rest, _ := strings.Cut(string(original), "\n")
		bundleFile(t, "start.sh", shebang+"\n"+script+"\n"+rest)
	}
	for _, f := range []restoreFault{
		{
			step: "PlanRestore", name: "no such set", code: 10, error: activities.SetNotFound, untouched: true, says: []string{"canton-backup list"},
			sabotage: func(*testing.T, *host, backupset.ID) []string { return []string{"20200101_000000"} },
		},
		{
			step: "PlanRestore", name: "older than 30 days", code: 1, error: activities.RestoreRefused, untouched: true, says: []string{"age: ", "31 days old"},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				h.forge(set, func(m *backupset.Manifest) {
					old := time.Now().Add(-31*24*time.Hour - time.Hour)
					m.Components[1].ParticipantEvidence.RecordTime = &old
				}, nil)
				return nil
			},
		},
		{
			step: "PlanRestore", name: "of another network", code: 1, error: activities.RestoreRefused, untouched: true, says: []string{"network: "},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				h.set("NETWORK", "devnet")
				return nil
			},
		},
		{
			step: "PlanRestore", name: "of another node", code: 1, error: activities.RestoreRefused, untouched: true, says: []string{"node: "},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				h.forge(set, func(m *backupset.Manifest) {
					m.Components[1].ParticipantEvidence.NodeIDs = []string{"PAR::other::1220"}
				}, nil)
				return nil
			},
		},
		{
			step: "PlanRestore", name: "the synchronizer was upgraded since", code: 1, error: activities.RestoreRefused, untouched: true, says: []string{"synchronizer: "},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				h.forge(set, func(m *backupset.Manifest) {
					was := m.Components[1].ParticipantEvidence.Synchronizers
					require.NotEmpty(t, was)
					was[0] = was[0][:strings.LastIndex(was[0], "-")] + "-0"
				}, nil)
				return nil
			},
		},
		{
			step: "PlanRestore", name: "start.sh is not there", code: 1, error: activities.RestoreRefused, untouched: true, says: []string{"bundle: ", "start.sh"},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				path := filepath.Join(node.Bundle, "start.sh")
				require.NoError(t, os.Rename(path, path+".away"))
				t.Cleanup(func() { require.NoError(t, os.Rename(path+".away", path)) })
				return nil
			},
		},
		{
			step: "Fetch", name: "one byte altered", code: 1, error: activities.BackupCorrupt, untouched: true, says: []string{"the node was not touched"},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				path := filepath.Join(h.backupDir(), h.manifest(set).Components[1].File)
				data, err := os.ReadFile(path)
				require.NoError(t, err)
				data[len(data)/2] ^= 1
				require.NoError(t, os.WriteFile(path, data, 0o600))
				return nil
			},
		},
		{
			step: "StopNode", name: "stop.sh fails", code: 1, error: activities.ScriptFailed, says: []string{"no stopping today", "undone"},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				bundleFile(t, "stop.sh", "#!/bin/sh\necho no stopping today >&2\nexit 1\n")
				return nil
			},
		},
		{
			step: "StartPostgres", name: "compose fails", code: 1, error: activities.ScriptFailed, says: []string{"no postgres today", "undone"},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				h.shim(t, "docker", `case "$*" in *" up --detach --no-deps postgres-splice") echo no postgres today >&2; exit 1 ;; esac`)
				return nil
			},
		},
		{
			step: "StartPostgres", name: "postgres never gets healthy", code: 1, error: activities.NodeUnhealthy, says: []string{"no_such_setting", "undone"},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				folder, err := exec.Command("docker", "volume", "inspect", "--format", "{{.Mountpoint}}", node.Volume()).Output()
				require.NoError(t, err)
				file := filepath.Join(strings.TrimSpace(string(folder)), "postgresql.auto.conf")
				h.shim(t, "docker", `case "$*" in *" up --detach --no-deps postgres-splice") echo no_such_setting=1 >>`+file+` ;; esac`)
				atStart(t, "sed -i /no_such_setting/d "+file)
				return nil
			},
		},
		{
			step: "Load", name: "a statement of the dump fails", code: 1, error: activities.LoadFailed, says: []string{"division by zero", "undone"},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				h.forge(set, nil, func(text string) string {
					return strings.Replace(text, "-- PostgreSQL database dump complete", "SELECT 1/0;\n-- PostgreSQL database dump complete", 1)
				})
				return nil
			},
		},
		{
			step: "Load", name: "the dump is truncated", code: 1, error: activities.DumpTruncated, says: []string{"undone"},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				h.forge(set, nil, func(text string) string { return text[:strings.LastIndex(text, "CREATE INDEX")] })
				return nil
			},
		},
		{
			step: "Check", name: "the database is not the one that was dumped", code: 1, error: activities.RestoreDiffers, says: []string{"undone"},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				h.forge(set, func(m *backupset.Manifest) {
					pruned := int64(4711)
					m.Components[1].ParticipantEvidence.PrunedTo = &pruned
				}, nil)
				return nil
			},
		},
		{
			step: "StartNode", name: "start.sh fails", code: 1, error: activities.ScriptFailed, says: []string{"no starting yet", "undone"},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				count := filepath.Join(t.TempDir(), "count")
				atStart(t, "echo x >>"+count+"\nif [ $(wc -l <"+count+") -le 2 ]; then echo no starting yet >&2; exit 1; fi")
				return nil
			},
		},
		{
			step: "StartNode", name: "the validator ends again and again", code: 1, error: activities.NodeUnhealthy, says: []string{"times", "undone"},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				compose, err := os.ReadFile(filepath.Join(node.Bundle, "compose.yaml"))
				require.NoError(t, err)
				require.Contains(t, string(compose), `command: ["validator"]`)
				bundleFile(t, "compose.yaml", string(compose))
				count := filepath.Join(t.TempDir(), "count")
				atStart(t, `if [ ! -e `+count+` ]; then touch `+count+`; sed -i 's/command: \["validator"\]/command: ["no-such-program"]/' compose.yaml
else sed -i 's/command: \["no-such-program"\]/command: ["validator"]/' compose.yaml; fi`)
				return nil
			},
		},
		{
			step: "PlanRestore", name: "Scan does not answer", code: 1, error: activities.RestoreRefused, untouched: true, says: []string{"scan: Scan at "},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				require.NoError(t, exec.Command("docker", "stop", node.Project+"-scan").Run())
				t.Cleanup(func() { require.NoError(t, exec.Command("docker", "start", node.Project+"-scan").Run()) })
				return nil
			},
		},
		{
			step: "StartNode", name: "Scan does not answer", code: 1, error: activities.UndoFailed, undoFails: true, says: []string{"Scan at", "Start the node with: "},
			sabotage: func(t *testing.T, h *host, set backupset.ID) []string {
				h.env = append(h.env, "TESTBED_SCAN_TRIES=1")
				require.NoError(t, exec.Command("docker", "stop", node.Project+"-scan").Run())
				t.Cleanup(func() { require.NoError(t, exec.Command("docker", "start", node.Project+"-scan").Run()) })
				return []string{string(set), "--override", "scan"}
			},
		},
	} {
		t.Run(f.step+": "+f.name, func(t *testing.T) {
			h := newHost(t, node)
			h.set("NODE_NAME", first.settings["NODE_NAME"])
			require.NoError(t, os.CopyFS(h.backupDir(), os.DirFS(first.backupDir())))
			before := h.databases(t)
			started := h.startedAt(t)
			args := append([]string{"restore"}, f.sabotage(t, h, set)...)
			if len(args) == 1 {
				args = append(args, string(set))
			}
			r := h.run(append(args, "--yes", "--json", "--override", "pair")...)
			require.Equal(t, f.code, r.code, r.talk)
			var failure struct{ Name, Error string }
			require.NoError(t, json.Unmarshal([]byte(lastLine(r.talk)), &failure), r.talk)
			require.Equal(t, f.error, failure.Name, r.talk)
			for _, words := range f.says {
				require.Contains(t, r.talk+h.runLog(), words)
			}
			outcome := "refused, the node was not touched"
			switch {
			case f.untouched:
				require.Equal(t, started, h.startedAt(t), "the node was not touched")
			case f.undoFails:
				require.Len(t, h.telegram.messages(), 1)
				require.Contains(t, h.telegram.messages()[0], "start.sh -s")
				outcome = "undone as far as it went, the alert says how to start the node"
			default:
				require.Len(t, h.telegram.messages(), 1)
				require.Contains(t, h.telegram.messages()[0], "Restore failed")
				require.Contains(t, h.telegram.messages()[0], "the node runs on its old data")
				h.servicesHealthy()
				outcome = "undone, the node runs on the old data"
			}
			if f.undoFails {
				require.NoError(t, exec.Command("docker", "start", node.Project+"-scan").Run())
				require.NoError(t, node.Start(t.Context()))
			}
			require.Equal(t, before, h.databases(t), "the old databases are what they were")
			h.onlyLiveDatabases()
			require.Empty(t, h.helpers())
			table.add(f.step, f.name, outcome)
		})
	}
}

// databases digests what the two databases hold.
func (h *host) databases(t *testing.T) string {
	t.Helper()
	script := `for db in validator ` + h.node.ParticipantDB() + `; do pg_dump -U cnadmin -d "$db" | grep -v restrict | sha256sum; done`
	out, err := exec.CommandContext(t.Context(), "docker", "exec", h.node.Container("postgres-splice"), "bash", "-euo", "pipefail", "-c", script).CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

func (h *host) startedAt(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "inspect", "-f", "{{.Id}} {{.State.StartedAt}}", h.node.Container("participant")).CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// shim puts a program before the real one of that name: script, then the real one.
func (h *host) shim(t *testing.T, name, script string) {
	t.Helper()
	real, err := exec.LookPath(name)
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\nexec "+real+" \"$@\"\n"), 0o755))
	h.env = append(h.env, "PATH="+dir+":"+os.Getenv("PATH"))
}

// forge rewrites a set on this host: its manifest, and the text of the participant's dump, with digests that agree. It stands for whatever makes a set
// that looks good and is not.
func (h *host) forge(id backupset.ID, manifest func(*backupset.Manifest), text func(string) string) {
	h.t.Helper()
	m := h.manifest(id)
	if text != nil {
		c := &m.Components[1]
		path := filepath.Join(h.backupDir(), c.File)
		packed, err := os.ReadFile(path)
		require.NoError(h.t, err)
		r, err := gzip.NewReader(bytes.NewReader(packed))
		require.NoError(h.t, err)
		var plain, out bytes.Buffer
		_, err = plain.ReadFrom(r)
		require.NoError(h.t, err)
		changed := text(plain.String())
		require.NotEqual(h.t, plain.String(), changed)
		w := gzip.NewWriter(&out)
		_, err = w.Write([]byte(changed))
		require.NoError(h.t, err)
		require.NoError(h.t, w.Close())
		require.NoError(h.t, os.WriteFile(path, out.Bytes(), 0o600))
		sum, plainSum := sha256.Sum256(out.Bytes()), sha256.Sum256([]byte(changed))
		c.Size, c.SHA256, c.PlainSize, c.PlainSHA256 = int64(out.Len()), hex.EncodeToString(sum[:]), int64(len(changed)), hex.EncodeToString(plainSum[:])
	}
	if manifest != nil {
		manifest(&m)
	}
	data, err := m.Encode()
	require.NoError(h.t, err)
	require.NoError(h.t, os.WriteFile(filepath.Join(h.backupDir(), backupset.ManifestName(id)), data, 0o600))
}
