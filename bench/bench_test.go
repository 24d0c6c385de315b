package main

import (
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/bench/internal/figures"
)

func TestParse(t *testing.T) {
	all, err := parse(nil)
	require.NoError(t, err)
	require.True(t, all.full)
	require.Equal(t, "docs", all.out, "a full run writes the documents")
	require.Equal(t, []int{250, 1000, 2500, 4000}, all.sizes)
	require.Equal(t, 2500, all.main())
	require.Equal(t, time.Minute, all.idle)
	require.True(t, all.wants("anything"))

	quick, err := parse([]string{"-sizes", "1000,250", "-kinds", "mixed", "-cases", "capture,restore", "-subjects", "zstd,gzip", "-passes", "1"})
	require.NoError(t, err)
	require.False(t, quick.full)
	require.Empty(t, quick.out, "a quick look leaves the documents alone")
	require.Equal(t, []int{250, 1000}, quick.sizes)
	require.Equal(t, 1000, quick.main())
	require.Equal(t, []string{"mixed"}, quick.kinds)
	require.Equal(t, []string{"capture", "restore"}, quick.cases)
	require.Equal(t, 1, quick.passes)
	require.True(t, quick.wants("canton-backup zstd+age"))
	require.False(t, quick.wants("pgBackRest"))

	weigh, err := parse([]string{"-alternatives"})
	require.NoError(t, err)
	require.Equal(t, []any{false, "", []int{1000}, []string{"mixed"}, []string{"capture"}}, []any{weigh.full, weigh.out, weigh.sizes, weigh.kinds, weigh.cases})
	weigh, err = parse([]string{"-alternatives", "-sizes", "250"})
	require.NoError(t, err)
	require.Equal(t, []any{[]int{250}, []string{"mixed"}, []string{"capture"}}, []any{weigh.sizes, weigh.kinds, weigh.cases})

	for _, arguments := range [][]string{{"-sizes", "ten"}, {"-sizes", "10"}, {"-kinds", "warm"}, {"-cases", "capture,nap"}, {"-passes", "0"}, {"more"}} {
		_, err := parse(arguments)
		require.Error(t, err, "%v", arguments)
	}
}

func TestPrintBars(t *testing.T) {
	for name, c := range map[string]struct {
		got        float64
		full, want bool
	}{
		"under": {0.34, true, true}, "equal": {0.35, true, true}, "over": {0.351, false, false},
		"not measured, full": {math.NaN(), true, false}, "not measured, quick": {math.NaN(), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			bars := []figures.Bar{{What: "first", Limit: 1}, {What: "second", Got: c.got, Limit: 0.35}, {What: "third", Limit: 1}}
			require.Equal(t, c.want, printBars(io.Discard, bars, c.full))
		})
	}
}

func TestPlan_Turns(t *testing.T) {
	subjects := []subject{{name: "a", slow: true}, {name: "b"}, {name: "c"}}
	order := func(p plan) string {
		text := ""
		for _, turn := range p.turns(subjects) {
			text += strconv.Itoa(turn.pass) + subjects[turn.subject].name + " "
		}
		return text
	}
	require.Equal(t, "1a 1b 1c 2c 2b 2a ", order(plan{passes: 2}))
	require.Equal(t, "0c 0b 0a 1a 1b 1c ", order(plan{passes: 1, warmUp: true}))
	require.Equal(t, "1a 1b 1c 2c 2b 2a 3b 3c 4c 4b ", order(plan{passes: 4, quick: 2}))
}

func TestReadText(t *testing.T) {
	of := func(text string) dumpText {
		path := filepath.Join(t.TempDir(), "dump")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		got, err := readText(t.Context(), exec.CommandContext(t.Context(), "cat", path))
		require.NoError(t, err)
		require.EqualValues(t, len(text), got.bytes)
		return got
	}
	require.Equal(t, of("\\restrict a\nrow\n\\unrestrict a\n"), of("\\restrict b\nrow\n\\unrestrict b\n"))
	require.NotEqual(t, of("row\n").sum, of("row").sum)
	require.NotEqual(t, of("row 1\n"), of("row 2\n"))
	_, err := readText(t.Context(), exec.CommandContext(t.Context(), "sh", "-c", "echo row; echo trouble >&2; exit 3"))
	require.ErrorContains(t, err, "trouble")
}

func TestOpenWorkplace_OneAtATimeAndEmpty(t *testing.T) {
	dir := t.TempDir()
	first, err := openWorkplace(dir)
	require.NoError(t, err)
	_, err = openWorkplace(dir)
	require.ErrorContains(t, err, "another benchmark runs")
	// A killed run closes nothing but its lock.
	require.NoError(t, os.WriteFile(filepath.Join(first.dir, "dump"), []byte("left"), 0o600))
	require.NoError(t, first.lock.Close())
	second, err := openWorkplace(dir)
	require.NoError(t, err)
	left, err := os.ReadDir(second.dir)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, second.close())
}

func TestSizeAndEmptied(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	require.NoError(t, emptied(dir))
	for path, text := range map[string]string{"a": "123", "sub/b": "12", "sub/.c": "1", ".own/d": "12345"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600))
	}
	got, err := size(dir)
	require.NoError(t, err)
	require.EqualValues(t, 6, got, "a server's own folder does not count")
	require.NoError(t, emptied(dir))
	got, err = size(dir)
	require.NoError(t, err)
	require.Zero(t, got)
	_, err = size(filepath.Join(dir, "none"))
	require.Error(t, err)
}
