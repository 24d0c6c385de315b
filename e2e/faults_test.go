package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/internal/testkit/s3server"
	"canton-backup/testbed"
)

// fault is one row of the table: what is broken, and how a run ends then.
type fault struct {
	name     string
	sabotage func(t *testing.T, h *host) // nil for what arrange did already
	code     int                         // exit code of `backup`
	error    string                      // name of the error
	says     []string                    // words of the message
	alert    bool
	// The set may be sealed on this host although the run failed: the targets are at fault.
	sealed bool
}

// Whatever is broken: the exit code and the message are as documented, one alert goes out, the good set from before is still there
// and whole, nothing is pruned, and nothing half-made lies under a final name or at all.
func TestFaults(t *testing.T) {
	node := newNode(t, testbed.Options{Flavour: testbed.Legacy, MigrationID: "4"})
	sql := func(t *testing.T, db, statement string) {
		t.Helper()
		_, err := node.SQL(t.Context(), db, statement)
		require.NoError(t, err)
	}
	inPostgres := func(t *testing.T, script string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "docker", "exec", node.Container("postgres-splice"), "sh", "-euc", script).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	later := func(t *testing.T, do func(ctx context.Context) error) {
		t.Helper()
		t.Cleanup(func() { require.NoError(t, do(context.Background())) })
	}

	// Every row begins with two good sets, the older one ripe for pruning.
	first := newHost(t, node)
	ripe := first.agedTwin(first.backup())
	template, name := first.backupDir(), first.settings["NODE_NAME"]

	for _, f := range []fault{
		{
			name: "two nodes on one host", code: 1, error: activities.NodeAmbiguous, alert: true,
			says:     []string{node.Container("postgres-splice"), sharedNode.Container("postgres-splice"), "COMPOSE_PROJECT"},
			sabotage: func(t *testing.T, h *host) { h.set("COMPOSE_PROJECT", "") },
		},
		{
			name: "participant database missing", code: 1, error: activities.DatabaseNotFound, alert: true, says: []string{`"participant-5"`, `"participant-4"`},
			sabotage: func(t *testing.T, h *host) { h.set("PARTICIPANT_DB", "participant-5") },
		},
		{
			name: "empty database", code: 1, error: activities.DatabaseNotFound, alert: true, says: []string{"holds no tables"},
			sabotage: func(t *testing.T, h *host) {
				sql(t, "postgres", `CREATE DATABASE "hollow"`)
				h.set("PARTICIPANT_DB", "hollow")
			},
		},
		{
			name: "same database for both halves", code: 1, error: activities.NodeAmbiguous, alert: true, says: []string{"both halves"},
			sabotage: func(t *testing.T, h *host) { h.set("PARTICIPANT_DB", "validator") },
		},
		{
			name: "identity mismatch", code: 1, error: activities.PairBroken, alert: true, says: []string{"identity", "PAR::someone::1220"},
			sabotage: func(t *testing.T, h *host) {
				sql(t, "postgres", `CREATE DATABASE "stranger" `)
				inPostgres(t, `pg_dump -U cnadmin validator | psql -qU cnadmin stranger && psql -qU cnadmin stranger -c "UPDATE validator.store_descriptors SET descriptor = jsonb_set(descriptor, '{participant}', '\"PAR::someone::1220\"')"`)
				h.set("VALIDATOR_DB", "stranger")
			},
		},
		{
			name: "validator ahead of participant", code: 1, error: activities.PairBroken, alert: true, says: []string{"pair", "ahead of the participant"},
			sabotage: func(t *testing.T, h *host) {
				sql(t, "postgres", `CREATE DATABASE "ahead"`)
				inPostgres(t, `pg_dump -U cnadmin validator | psql -qU cnadmin ahead && psql -qU cnadmin ahead -c "UPDATE validator.store_last_ingested_offsets SET last_ingested_offset = '00000000ffffffffff' WHERE migration_id = (SELECT max(migration_id) FROM validator.store_last_ingested_offsets)"`)
				h.set("VALIDATOR_DB", "ahead")
			},
		},
		{
			name: "bad settings", code: 2, error: "", says: []string{"KEEP_LAST=0", "NETWORK=a b"},
			sabotage: func(t *testing.T, h *host) { h.set("KEEP_LAST", "0", "NETWORK", "a b") },
		},
		{
			name: "ssh key refused", code: 1, error: activities.AuthDenied, alert: true, sealed: true, says: []string{"Permission denied"},
			sabotage: func(t *testing.T, h *host) { h.copyKey(h.sshd.OtherKey) },
		},
		{
			name: "ssh host key changed", code: 1, error: activities.HostKeyNotTrusted, alert: true, sealed: true, says: []string{"host key"},
			sabotage: func(t *testing.T, h *host) {
				h.sshd.Know(t, h.sshd.OtherKey+".pub")
				h.trust(h.sshd)
			},
		},
		{
			name: "one of two targets fails", code: 3, alert: true, sealed: true, says: []string{"⚠ Backup completed, 1 of 2 targets failed"},
			sabotage: func(t *testing.T, h *host) {
				h.s3()
				h.copyKey(h.sshd.OtherKey)
			},
		},
		{
			name: "bucket missing", code: 1, error: activities.BucketNotFound, alert: true, sealed: true, says: []string{"create the bucket"},
			sabotage: func(t *testing.T, h *host) {
				h.onlyS3()
				h.set("R2_BUCKET", "no-such-bucket")
			},
		},
		{
			name: "bucket key refused", code: 1, error: activities.AuthDenied, alert: true, sealed: true, says: []string{"check key id and secret key"},
			sabotage: func(t *testing.T, h *host) {
				h.onlyS3()
				h.set("R2_SECRET_KEY", "wrong-secret")
			},
		},
		{
			name: "backup folder cannot be made", code: 1, error: "", says: []string{"make backup folder", "not a directory"},
			sabotage: func(t *testing.T, h *host) {
				file := filepath.Join(h.home, "file")
				require.NoError(t, os.WriteFile(file, nil, 0o600))
				h.set("BACKUP_DIR", filepath.Join(file, "sets"))
			},
		},
		{
			name: "disk too small", code: 1, error: activities.InsufficientSpace, alert: true, says: []string{"stay reserved"},
			sabotage: func(t *testing.T, h *host) { h.set("BACKUP_DIR", tmpfs(t, "64m")) },
		},
		{
			name: "password refused", code: 1, error: activities.AuthDenied, alert: true, says: []string{"password authentication failed"},
			sabotage: func(t *testing.T, h *host) {
				inPostgres(t, `cp $PGDATA/pg_hba.conf /tmp/hba && sed -i 's/trust$/scram-sha-256/' $PGDATA/pg_hba.conf && psql -qU cnadmin postgres -c "ALTER ROLE cnadmin PASSWORD 'other'" -c "SELECT pg_reload_conf()"`)
				later(t, func(context.Context) error {
					return exec.Command("docker", "exec", node.Container("postgres-splice"), "sh", "-euc",
						`cp /tmp/hba $PGDATA/pg_hba.conf && pg_ctl reload -s && until psql -qU cnadmin postgres -c "ALTER ROLE cnadmin PASSWORD '`+node.Password+`'"; do sleep 0.1; done`).Run()
				})
			},
		},
		{
			name: "participant-9 beside participant-10 and nobody to ask", code: 1, error: activities.NodeAmbiguous, alert: true,
			says: []string{`"participant-10", "participant-4", "participant-9"`, "PARTICIPANT_DB"},
			sabotage: func(t *testing.T, h *host) {
				sql(t, "postgres", `CREATE DATABASE "participant-9"`)
				sql(t, "postgres", `CREATE DATABASE "participant-10"`)
				later(t, func(ctx context.Context) error {
					_, err := node.SQL(ctx, "postgres", `DROP DATABASE "participant-9"`)
					_, err2 := node.SQL(ctx, "postgres", `DROP DATABASE "participant-10"`)
					return errors.Join(err, err2)
				})
				require.NoError(t, exec.Command("docker", "rm", "-f", node.Container("participant"), node.Container("validator")).Run())
				later(t, node.Start)
			},
		},
		{
			name: "postgres container down", code: 1, error: activities.NodeNotFound, alert: true, says: []string{"does not run", "docker logs"},
			sabotage: func(t *testing.T, h *host) {
				require.NoError(t, node.StopService(t.Context(), "postgres-splice"))
				later(t, func(ctx context.Context) error { return node.StartService(ctx, "postgres-splice") })
			},
		},
	} {
		t.Run(f.name, func(t *testing.T) {
			h := newHost(t, node)
			h.rsync()
			h.set("KEEP_LAST", "1", "NODE_NAME", name)
			dir := h.backupDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(template)))
			before := names(t, dir)
			f.sabotage(t, h)
			broken := h.settings["BACKUP_DIR"]

			r := h.run("backup", "--json")
			require.Equal(t, f.code, r.code, r.talk)
			text := r.talk + h.runLog()
			for _, words := range f.says {
				require.Contains(t, text, words)
			}
			if f.error != "" {
				var failure struct{ Name string }
				require.NoError(t, json.Unmarshal([]byte(lastLine(r.talk)), &failure), r.talk)
				require.Equal(t, f.error, failure.Name)
			}
			messages := h.telegram.messages()
			if f.alert {
				require.Len(t, messages, 1, "one alert")
				headline := "Backup failed: "
				if f.code == 3 {
					headline = "Backup made, and needs a look: "
				}
				require.Contains(t, messages[0], headline+h.settings["NODE_NAME"])
			} else {
				require.Empty(t, messages)
			}
			after := names(t, dir)
			for _, name := range before {
				if f.code == 3 && strings.Contains(name, string(ripe)) {
					// A run that is done is no failed run: a target that is down for weeks must not fill this disk.
					require.NotContains(t, after, name)
					continue
				}
				require.Contains(t, after, name, "nothing is pruned")
			}
			if !f.sealed {
				require.Equal(t, before, after, "nothing new under a final name")
			}
			if broken != "" {
				h.settings["BACKUP_DIR"] = ""
			}
			h.tidy()
		})
	}

	t.Run("names that need quoting are no fault", func(t *testing.T) {
		odd := map[string]string{"validator": `val "1"`, "participant-4": `it's "odd"; -- $HOME\ db=x`}
		for _, from := range []string{"validator", "participant-4"} { // in this order, so that the copies are a pair
			sql(t, "postgres", `CREATE DATABASE "`+strings.ReplaceAll(odd[from], `"`, `""`)+`"`)
			out, err := exec.CommandContext(t.Context(), "docker", "exec", "-e", "PGDATABASE="+odd[from], node.Container("postgres-splice"),
				"sh", "-euc", "pg_dump -U cnadmin -d "+from+" | psql -qU cnadmin").CombinedOutput()
			require.NoError(t, err, string(out))
		}
		h := newHost(t, node)
		h.s3()
		h.rsync()
		h.set("PARTICIPANT_DB", odd["participant-4"], "VALIDATOR_DB", odd["validator"])
		m := h.manifest(h.backup())
		require.Equal(t, odd["participant-4"], m.Components[1].Database)
		require.Equal(t, backupset.Pass, m.Verdict)
		require.Equal(t, 0, h.run("verify").code)
	})

	t.Run("a renamed table that only the record needs does not switch off the proof", func(t *testing.T) {
		sql(t, "participant-4", `ALTER TABLE participant.common_kms_metadata_store RENAME TO elsewhere`)
		later(t, func(ctx context.Context) error {
			_, err := node.SQL(ctx, "participant-4", `ALTER TABLE participant.elsewhere RENAME TO common_kms_metadata_store`)
			return err
		})
		h := newHost(t, node)
		require.Equal(t, backupset.Pass, h.manifest(h.backup()).Verdict)
		h.set("VALIDATOR_DB", "ahead") // made by a row above
		r := h.run("backup")
		require.Equal(t, 1, r.code)
		require.Contains(t, r.talk, "ahead of the participant")
		require.Contains(t, h.telegram.messages()[0], "Last good set:</b> 20", "the alert names the set from before")
	})

	t.Run("a reversed pair is one alert, and is over with the next proven set", func(t *testing.T) {
		h := newHost(t, node)
		h.set("NOTIFY_ON", "failure,recovery", "VALIDATOR_DB", "ahead") // made by a row above
		for range 2 {
			r := h.run("backup")
			require.Equal(t, 1, r.code, r.talk)
		}
		require.Len(t, h.telegram.messages(), 1)
		require.Contains(t, h.telegram.messages()[0], activities.PairBroken)
		require.Empty(t, h.list(), "no set was made of it")
		h.set("VALIDATOR_DB", "")
		for range 2 {
			h.backup()
		}
		require.Len(t, h.telegram.messages(), 2)
		require.Contains(t, h.telegram.messages()[1], "Backup works again")
	})

	t.Run("a stopped participant is no fault", func(t *testing.T) {
		h := newHost(t, node)
		require.NoError(t, node.StopService(t.Context(), "participant"))
		later(t, func(ctx context.Context) error { return node.StartService(ctx, "participant") })
		require.Equal(t, "participant-4", h.manifest(h.backup()).Components[1].Database)
	})

	t.Run("what another Splice version keeps otherwise makes the proof UNKNOWN and aborts nothing", func(t *testing.T) {
		for name, change := range map[string]struct{ database, statement, check, detail string }{
			"offset of another type":   {"validator", `ALTER TABLE validator.store_last_ingested_offsets ALTER last_ingested_offset TYPE bigint USING 1`, "pair", "invalid input syntax"},
			"offset in decimals":       {"validator", `UPDATE validator.store_last_ingested_offsets SET last_ingested_offset = '10'`, "pair", "not 18 digits in hex"},
			"descriptor of other type": {"validator", `ALTER TABLE validator.store_descriptors ALTER descriptor TYPE text`, "identity", "operator does not exist"},
			"table renamed":            {"validator", `ALTER TABLE validator.store_descriptors RENAME TO elsewhere`, "pair", "does not exist"},
			"ledger end of other type": {"participant", `DROP VIEW debug.lapi_parameters; ALTER TABLE participant.lapi_parameters ALTER ledger_end TYPE text`, "pair", "cannot unmarshal"},
			"identifier renamed":       {"participant", `ALTER TABLE participant.common_node_id RENAME identifier TO uid`, "identity", "column \"identifier\" does not exist"},
			"record time as a date":    {"participant", `ALTER TABLE participant.lapi_ledger_end_synchronizer_index ALTER record_time TYPE timestamptz USING now()`, "", "cannot unmarshal"},
		} {
			t.Run(name, func(t *testing.T) {
				source := map[string]string{"validator": "validator", "participant": "participant-4"}
				for _, half := range []string{"validator", "participant"} { // in this order, so that the copies are a pair
					sql(t, "postgres", `DROP DATABASE IF EXISTS "other_`+half+`"`)
					sql(t, "postgres", `CREATE DATABASE "other_`+half+`"`)
					inPostgres(t, `pg_dump -U cnadmin -d `+source[half]+` | psql -qU cnadmin other_`+half)
				}
				sql(t, "other_"+change.database, change.statement)
				h := newHost(t, node)
				h.set("VALIDATOR_DB", "other_validator", "PARTICIPANT_DB", "other_participant")
				m := h.manifest(h.backup())
				verdicts := ""
				for _, c := range m.Checks {
					if c.Verdict != backupset.Pass {
						verdicts += c.Name + " "
						require.Equal(t, backupset.Unknown, c.Verdict)
						require.Contains(t, c.Detail, change.detail)
					}
				}
				require.Contains(t, verdicts, change.check)
				if change.check == "" {
					require.Empty(t, verdicts)
					p, _ := m.Component(backupset.Participant)
					require.Contains(t, strings.Join(p.ParticipantEvidence.Unread, "\n"), change.detail)
				}
			})
		}
	})

	t.Run("another participant under the same name keeps its sets", func(t *testing.T) {
		h, namesake := newHost(t, node), newHost(t, sharedNode)
		old := h.agedTwin(h.backup())
		namesake.set("NODE_NAME", h.settings["NODE_NAME"], "BACKUP_DIR", h.backupDir(), "KEEP_LAST", "1")
		namesake.backup()
		require.Contains(t, namesake.runLog(), "⚠ this node is now PAR::")
		require.Contains(t, names(t, h.backupDir()), backupset.ManifestName(old))
		r := namesake.run("prune")
		require.Regexp(t, string(old)+` +keep +not sealed by this node, or of another participant`, r.out)
		require.Contains(t, namesake.run("list").out, "of node "+h.settings["NODE_NAME"]+" (testnet), participant PAR::")
	})

	// The table's control: with nothing broken, the old set is pruned, so that a prune in one of its rows would be seen.
	h := newHost(t, node)
	h.rsync()
	old := h.agedTwin(h.backup())
	h.set("KEEP_LAST", "1")
	require.Contains(t, names(t, h.backupDir()), backupset.ManifestName(old))
	h.backup()
	require.NotContains(t, strings.Join(names(t, h.backupDir()), " "), string(old))
}

// agedTwin copies a set on this host under a date of three days ago and returns its id: a prune takes it when KEEP_LAST is 1.
func (h *host) agedTwin(id backupset.ID) backupset.ID {
	h.t.Helper()
	m := h.manifest(id)
	m.SealedAt = m.SealedAt.Add(-72 * time.Hour)
	m.Set = backupset.NewID(id.Time().Add(-72 * time.Hour))
	for i, c := range m.Components {
		data, err := os.ReadFile(filepath.Join(h.backupDir(), c.File))
		require.NoError(h.t, err)
		if m.Components[i].File = backupset.DumpName(c.Database, m.Set, c.Codec, c.Encryption); c.Role == backupset.Identities {
			m.Components[i].File = backupset.IdentitiesName(m.Set, c.Encryption)
		}
		require.NoError(h.t, os.WriteFile(filepath.Join(h.backupDir(), m.Components[i].File), data, 0o600))
	}
	data, err := m.Encode()
	require.NoError(h.t, err)
	require.NoError(h.t, os.WriteFile(filepath.Join(h.backupDir(), backupset.ManifestName(m.Set)), data, 0o600))
	return m.Set
}

func (h *host) onlyS3() *s3server.Server {
	h.t.Helper()
	h.settings["BACKUP_TYPE"] = "skip"
	return h.s3()
}

func (h *host) runLog() string {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join(h.home, ".canton", "logs", "backup.log"))
	if os.IsNotExist(err) {
		return ""
	}
	require.NoError(h.t, err)
	return string(data)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var all []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			all = append(all, e.Name())
		}
	}
	return all
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// tmpfs mounts a small file system for the test.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).Run())
	t.Cleanup(func() { require.NoError(t, exec.Command("umount", dir).Run()) })
	return dir
}
