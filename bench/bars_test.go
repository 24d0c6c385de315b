package main

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPrintBars(t *testing.T) {
	for name, c := range map[string]struct {
		got  float64
		want bool
	}{
		"under": {0.34, true}, "equal": {0.35, true}, "over": {0.351, false}, "no number": {math.NaN(), false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, printBars(io.Discard, []bar{{"first", 0, 1}, {"second", c.got, 0.35}, {"third", 0, 1}}))
		})
	}
}

func TestSpeedBars(t *testing.T) {
	of := func(name string, limit float64, bytes int64, walls ...time.Duration) result {
		r := result{way: way{name: name, wallBar: limit}}
		for _, w := range walls {
			r.samples = append(r.samples, sample{wall: w, bytes: bytes})
		}
		return r
	}
	got := speedBars([]result{of("script", 0, 1000, 9, 10, 50), of("ours", 0.3, 1100, 1, 3, 4), of("weighed only", 0, 5000, 99)})
	require.Equal(t, []bar{{"ours: time / script's", 0.3, 0.3}, {"ours: bytes / script's", 1.1, 1}}, got)

	encrypted := of("ours, age", 0, 1100, 6)
	encrypted.way.plain = 1
	got = speedBars([]result{of("script", 0, 1000, 10), of("ours", 0, 900, 4), encrypted})
	require.Equal(t, []bar{{"ours, age: time / plain's", 1.5, 1.15}}, got)
}

func TestDigest(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "dump")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	of := func(text string) string {
		size, sum, err := digest(t.Context(), []string{"cat"}, file(text))
		require.NoError(t, err)
		require.EqualValues(t, len(text), size)
		return sum
	}
	require.Equal(t, of("\\restrict a\nrow\n\\unrestrict a\n"), of("\\restrict b\nrow\n\\unrestrict b\n"))
	require.NotEqual(t, of("row\n"), of("row"))
	require.NotEqual(t, of("row 1\n"), of("row 2\n"))
	_, _, err := digest(t.Context(), []string{"gzip", "-dc"}, file("no gzip"))
	require.Error(t, err)
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
