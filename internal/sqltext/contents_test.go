package sqltext_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"canton-backup/internal/backupset"
	"canton-backup/internal/sqltext"
)

const dump = `--
-- PostgreSQL database dump
--

\restrict a1b2c3

-- Dumped from database version 15.20
-- Dumped by pg_dump version 15.20

CREATE TABLE participant."odd (name" (
    a integer
);

--
-- Data for Name: odd
--

COPY participant."odd (name" (a) FROM stdin;
1
2
\\.
\.

COPY participant.empty (a, b) FROM stdin;
\.

COPY participant.nothing  FROM stdin;


\.

SELECT pg_catalog.setval('participant.seq', 7, true);

--
-- PostgreSQL database dump complete
--

\unrestrict a1b2c3

`

func contents(text string, cut int) backupset.Contents {
	r := sqltext.NewReader()
	for len(text) > 0 {
		n := min(cut, len(text))
		_, _ = r.Write([]byte(text[:n]))
		text = text[n:]
	}
	return *r.Contents()
}

func TestReader_Tables(t *testing.T) {
	c := contents(dump, len(dump))
	require.Len(t, c.Tables, 3)
	for i, want := range []backupset.Table{{Name: `participant."odd (name"`, Rows: 3}, {Name: "participant.empty"}, {Name: "participant.nothing ", Rows: 2}} {
		require.Equal(t, want.Name, c.Tables[i].Name)
		require.Equal(t, want.Rows, c.Tables[i].Rows)
	}
	require.Equal(t, strings.Repeat("0", 32), c.Tables[1].Sum)
}

// What a dump holds does not depend on how its text arrives.
func TestReader_CutAnywhere(t *testing.T) {
	want := contents(dump, len(dump))
	for cut := 1; cut < len(dump); cut++ {
		require.Equal(t, want, contents(dump, cut), cut)
	}
}

func TestDifferences(t *testing.T) {
	want := contents(dump, 100)
	same := strings.NewReplacer("a1b2c3", "ffff", "15.20", "17.2", "1\n2\n", "2\n1\n").Replace(dump)
	require.Empty(t, backupset.Differences(want, contents(same, 100)), "order of rows, random words and versions make no difference")
	for name, change := range map[string][3]string{
		"row deleted":    {"1\n2\n", "1\n", `table participant."odd (name" has 2 rows, not 3`},
		"row changed":    {"1\n2\n", "1\n3\n", `table participant."odd (name" has other rows`},
		"table gone":     {"COPY participant.empty (a, b) FROM stdin;\n\\.\n", "", "table participant.empty is missing"},
		"table new":      {"COPY participant.empty (a", "COPY participant.full (a", "table participant.full was not in the dump"},
		"sequence":       {"seq', 7", "seq', 8", "definitions"},
		"index or table": {"a integer", "a bigint", "definitions"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(dump, change[0], change[1], 1)
			require.NotEqual(t, dump, changed)
			require.Contains(t, strings.Join(backupset.Differences(want, contents(changed, 100)), "\n"), change[2])
		})
	}
}

// Rows of any length, in any order, cut anywhere: equal rows give equal sums, and one changed byte does not.
func TestReader_OrderFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.StringMatching(`[0-9a-f\t]{0,40}`), 1, 30).Draw(t, "rows")
		if rapid.Bool().Draw(t, "long") {
			rows = append(rows, strings.Repeat("x", 40<<10))
		}
		text := func(rows []string) string {
			return "COPY a.b (c) FROM stdin;\n" + strings.Join(rows, "\n") + "\n\\.\n"
		}
		want := contents(text(rows), rapid.IntRange(1, 5000).Draw(t, "cut"))
		shuffled := append([]string(nil), rows...)
		rand.New(rand.NewPCG(1, uint64(len(rows)))).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := contents(text(shuffled), rapid.IntRange(1, 5000).Draw(t, "other cut")); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v\n%v", want, got)
		}
		shuffled[0] += "y"
		if got := contents(text(shuffled), 1000); len(backupset.Differences(want, got)) == 0 {
			t.Fatal("a changed row was not seen")
		}
	})
}

// A line outside the rows that is longer than what is kept of it counts in full.
func TestReader_LongStatement(t *testing.T) {
	long := "COMMENT ON TABLE x IS '" + strings.Repeat("y", 100<<10) + "';\n"
	want := contents(long, 7000)
	require.Equal(t, want, contents(long, len(long)))
	require.NotEqual(t, want, contents(strings.Replace(long, "yy';", "yz';", 1), 7000))
}

func BenchmarkReader(b *testing.B) {
	row := strings.Repeat("0123456789abcdef", 80)
	text := []byte("COPY a.b (c) FROM stdin;\n" + strings.Repeat(row+"\n", 800) + "\\.\n")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _ = sqltext.NewReader().Write(text)
	}
}
