package sqltext_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"canton-backup/internal/sqltext"
)

// together splits a text and puts the parts together again, the blocks as sessions would write them.
func together(t require.TestingT, text io.Reader) (string, error) {
	s := sqltext.NewSplitter(text)
	before, _, err := s.Before()
	if err != nil {
		return "", err
	}
	out := bytes.NewBuffer(before)
	blocks := make(chan sqltext.Block)
	ended := make(chan error, 1)
	go func() { ended <- s.Rows(context.Background(), blocks) }()
	for b := range blocks {
		require.True(t, bytes.HasSuffix(b.Rows, []byte("\n")), "whole rows")
		out.Write(b.Header)
		out.Write(b.Rows)
		out.WriteString("\\.\n")
		b.Done()
	}
	if err := <-ended; err != nil {
		return "", err
	}
	out.Write(s.After())
	return out.String(), nil
}

// rowsOf reads the rows of each table, sorted, in the plainest way.
func rowsOf(text string) map[string][]string {
	rows := map[string][]string{}
	table := ""
	for line := range strings.Lines(text) {
		switch {
		case table == "" && strings.HasPrefix(line, "COPY "):
			table = line
		case line == "\\.\n":
			table = ""
		case table != "":
			rows[table] = append(rows[table], line)
		}
	}
	for _, all := range rows {
		slices.Sort(all)
	}
	return rows
}

func TestSplitter(t *testing.T) {
	s := sqltext.NewSplitter(strings.NewReader("SET a = 1;\n\\restrict x\nCREATE TABLE t (SET int);\n" + dump))
	before, setup, err := s.Before()
	require.NoError(t, err)
	require.Equal(t, "SET a = 1;\n\\restrict x\n\\restrict a1b2c3\n", string(setup))
	require.Contains(t, string(before), "-- Data for Name: odd")
	require.NotContains(t, string(before), "FROM stdin")
	for name, reader := range map[string]io.Reader{"whole": strings.NewReader(dump), "byte by byte": iotest.OneByteReader(strings.NewReader(dump)), "with its end": iotest.DataErrReader(strings.NewReader(dump))} {
		got, err := together(t, reader)
		require.NoError(t, err, name)
		require.Equal(t, rowsOf(dump), rowsOf(got), name)
		require.True(t, strings.HasSuffix(got, "dump complete\n--\n\n\\unrestrict a1b2c3\n\n"))
		require.Contains(t, got, "setval")
	}
	_, err = together(t, strings.NewReader(dump[:strings.Index(dump, "\\\\.")]))
	require.ErrorIs(t, err, sqltext.ErrCut)
	for _, command := range []string{"\\connect other\n", "\\! cat pgpass\n", "\\.\n"} {
		_, err = together(t, strings.NewReader(strings.Replace(dump, "SELECT pg_catalog.setval", command+"SELECT pg_catalog.setval", 1)))
		require.ErrorIs(t, err, sqltext.ErrCommand)
		_, err = together(t, strings.NewReader(command+dump))
		require.ErrorIs(t, err, sqltext.ErrCommand)
	}
	for _, row := range []string{"\\.x\n", "\\.\r\n", "\\. \n"} { // psql takes the second for the end of the rows
		for _, before := range []string{"", "1\n"} {
			_, err = together(t, strings.NewReader("COPY a.t (c) FROM stdin;\n"+before+row+"\\! cat pgpass\n\\.\n"))
			require.ErrorIs(t, err, sqltext.ErrCommand, "%q", before+row)
		}
	}
	_, err = together(t, iotest.TimeoutReader(strings.NewReader(dump)))
	require.ErrorIs(t, err, iotest.ErrTimeout)
}

// Rows of any length and number arrive, each once, whatever the pieces are in which the text is read.
func TestSplitter_LosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		for range rapid.IntRange(0, 3).Draw(t, "tables") {
			text.WriteString("-- a line\n\nCOPY a." + rapid.StringMatching(`[a-z]{2}`).Draw(t, "name") + " (c) FROM stdin;\n")
			for range rapid.IntRange(0, 8).Draw(t, "rows") {
				text.WriteString(rapid.StringMatching(`(\\\\|\\N|[0-9a-f.]){0,5}`).Draw(t, "row") + strings.Repeat("x", rapid.SampledFrom([]int{1, 1, 100, 600 << 10}).Draw(t, "length")) + "\n")
			}
			text.WriteString("\\.\n")
		}
		text.WriteString("ALTER TABLE x;\n")
		var reader io.Reader = strings.NewReader(text.String())
		if rapid.Bool().Draw(t, "halves") {
			reader = iotest.HalfReader(reader)
		}
		got, err := together(t, reader)
		if err != nil {
			t.Fatal(err)
		}
		require.Equal(t, rowsOf(text.String()), rowsOf(got))
		require.True(t, strings.HasSuffix(got, "ALTER TABLE x;\n"))
	})
}
