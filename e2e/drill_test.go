package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/testbed"
)

// everyShape makes tables whose rows a restore loads in every way that it knows, several blocks of each: the drill then proves that they all arrive.
const everyShape = `
CREATE TABLE participant.every_shape (n bigint, b bytea, t text, v varchar(90), s smallint, i integer, o boolean, j jsonb);
INSERT INTO participant.every_shape
 SELECT CASE n % 4 WHEN 0 THEN 9223372036854775807 WHEN 1 THEN -9223372036854775808 WHEN 2 THEN n END,
  CASE n % 5 WHEN 0 THEN '' WHEN 1 THEN NULL ELSE decode(repeat(md5(n::text), 20), 'hex') END,
  CASE n % 6 WHEN 0 THEN '' WHEN 1 THEN '\N' WHEN 2 THEN '\.' WHEN 3 THEN E'tab\there\nline\r\b\f\v\\ é 漢 ' || n WHEN 4 THEN repeat('x', 300) END,
  CASE n % 3 WHEN 0 THEN md5(n::text) WHEN 1 THEN '' END, (n - 32768)::smallint, -n::integer, CASE n % 3 WHEN 0 THEN true WHEN 1 THEN false END,
  CASE WHEN n % 2 = 0 THEN jsonb_build_object('a\b', E'c\nd"', 'n', n) END
 FROM generate_series(0::bigint, 9999) n;
CREATE TABLE participant."Odd ""name" (gone integer, "select" bytea, twice bigint GENERATED ALWAYS AS (octet_length("select") * 2) STORED, "a ' b" text);
ALTER TABLE participant."Odd ""name" DROP COLUMN gone;
INSERT INTO participant."Odd ""name" ("select", "a ' b") SELECT decode(repeat(md5(n::text), 20), 'hex'), n::text FROM generate_series(1, 5000) n;
CREATE TABLE participant.other_shapes (b bytea, at timestamptz, list integer[], x numeric, f double precision, c char(3), u uuid);
INSERT INTO participant.other_shapes
 SELECT decode(repeat(md5(n::text), 20), 'hex'), now(), ARRAY[n, NULL], n / 7.0, 1 / (n + 1)::float, 'a', md5(n::text)::uuid FROM generate_series(0, 4999) n`

// A drill of a good set passes; one of a set that looks good and is not, fails with the right name, alerts once, and is recorded beside the manifest. The
// node is not touched either way.
func TestDrill(t *testing.T) {
	t.Parallel()
	node := newNode(t, testbed.Options{FillMB: 5})
	sqlOf(t, node, node.ParticipantDB(), everyShape)
	first := newHost(t, node)
	older, set := first.backup(), first.backup()
	started := first.startedAt(t)

	t.Run("of the copy at the target", func(t *testing.T) {
		h := newHost(t, node)
		bucket := h.s3()
		id := h.backup()
		require.NoError(t, os.RemoveAll(h.backupDir())) // this host is lost
		r := h.run("drill", "--json")
		require.Equal(t, 0, r.code, r.talk)
		var drilled activities.Drilled
		require.NoError(t, json.Unmarshal([]byte(r.out), &drilled))
		require.Equal(t, backupset.Pass, drilled.Verdict)
		require.Equal(t, id, drilled.Set)
		require.Greater(t, drilled.Tables, 20)
		require.Greater(t, drilled.Rows, int64(100))
		require.Positive(t, drilled.LoadS)
		record, err := filepath.Glob(bucket.Path("testnet/" + h.settings["NODE_NAME"] + "/drill_" + string(id) + "_*.json"))
		require.NoError(t, err)
		require.Len(t, record, 1)
		require.Empty(t, h.telegram.messages())
		require.Empty(t, h.helpers())
	})

	copyBlock := func(table string) *regexp.Regexp {
		return regexp.MustCompile(`(?s)(COPY participant\.` + table + ` [^\n]*\n)([^\n]*\n)(.*?\\\.\n)`)
	}
	for name, row := range map[string]struct {
		error    string
		says     string
		sabotage func(t *testing.T, h *host)
	}{
		"one row deleted": {activities.ContentDiffers, "participant.common_topology_transactions has", func(t *testing.T, h *host) {
			h.forge(set, nil, func(text string) string {
				return copyBlock("common_topology_transactions").ReplaceAllString(text, "$1$3")
			})
		}},
		"one half swapped": {activities.PairBroken, "ahead of the participant", func(t *testing.T, h *host) {
			// The participant's dump of the older set under the newer set's name, with its digests.
			old, m := h.manifest(older), h.manifest(set)
			data, err := os.ReadFile(filepath.Join(h.backupDir(), old.Components[1].File))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(h.backupDir(), m.Components[1].File), data, 0o600))
			h.forge(set, func(m *backupset.Manifest) {
				file := m.Components[1].File
				m.Components[1] = old.Components[1]
				m.Components[1].File = file
			}, nil)
		}},
		"truncated dump": {activities.DumpTruncated, "last line of pg_dump is missing", func(t *testing.T, h *host) {
			h.forge(set, nil, func(text string) string { return text[:strings.LastIndex(text, "CREATE INDEX")] })
		}},
		"one stale key": {activities.KeysDiffer, "not those that were dumped", func(t *testing.T, h *host) {
			h.forge(set, nil, func(text string) string {
				return regexp.MustCompile(`(COPY participant\.common_crypto_private_keys [^\n]*\n)1220`).ReplaceAllString(text, "${1}1221")
			})
		}},
		"one byte altered": {activities.BackupCorrupt, "the manifest says", func(t *testing.T, h *host) {
			path := filepath.Join(h.backupDir(), h.manifest(set).Components[1].File)
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			data[len(data)/2] ^= 1
			require.NoError(t, os.WriteFile(path, data, 0o600))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, node)
			h.set("NODE_NAME", first.settings["NODE_NAME"])
			require.NoError(t, os.CopyFS(h.backupDir(), os.DirFS(first.backupDir())))
			row.sabotage(t, h)
			r := h.run("drill", string(set), "--json")
			require.Equal(t, 1, r.code, r.talk)
			var failure struct{ Name, Error string }
			require.NoError(t, json.Unmarshal([]byte(lastLine(r.talk)), &failure), r.talk)
			require.Equal(t, row.error, failure.Name, r.talk)
			require.Contains(t, failure.Error, row.says)
			require.Len(t, h.telegram.messages(), 1)
			require.Contains(t, h.telegram.messages()[0], "Drill failed")
			records, err := filepath.Glob(filepath.Join(h.backupDir(), "drill_"+string(set)+"_*.json"))
			require.NoError(t, err)
			require.Len(t, records, 1)
			record, err := os.ReadFile(records[0])
			require.NoError(t, err)
			require.Contains(t, string(record), `"problem": "`+row.error+`"`)
			require.Empty(t, h.helpers())
		})
	}
	require.Equal(t, started, first.startedAt(t), "the node was not touched")
}
