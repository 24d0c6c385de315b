package document_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/bench/internal/document"
	"canton-backup/bench/internal/figures"
)

func figure(name, kind string, mb int, subject string, wall time.Duration, out int64) figures.Figure {
	return figures.Of(figures.Case{Name: name, Kind: kind, SizeMB: mb}, subject, int64(mb)*1_000_000,
		[]figures.Sample{{Wall: wall * time.Second, CPU: 2 * wall * time.Second, Peak: int64(wall) * 1_000_000, Out: out}})
}

func run() document.Run {
	return document.Run{
		Date: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Facts: []string{"2 cores"}, Idle: &figures.Idle{Core: 0.02, Resident: 1},
		Set: figures.Set{
			figure(figures.Capture, "mixed", 250, figures.Seed, 7, 90_000_000), figure(figures.Capture, "mixed", 250, figures.OursZstd, 1, 80_000_000),
			figure(figures.Capture, "mixed", 2500, figures.Seed, 70, 900_000_000), figure(figures.Capture, "mixed", 2500, figures.OursZstd, 10, 800_000_000),
			figure(figures.Capture, "mixed", 2500, figures.PgBackRest, 5, 700_000_000), figure(figures.Capture, "mixed", 2500, "cp & pray", 8, 900_000_000),
			figure(figures.Backup, "mixed", 2500, figures.SeedCopied, 80, 900_000_000), figure(figures.Backup, "mixed", 2500, figures.OursZstdAge, 12, 800_000_000),
			figure(figures.Restore, "mixed", 2500, figures.GunzipPsql, 30, 0), figure(figures.Restore, "mixed", 2500, figures.OursZstd, 20, 0),
			figure(figures.Drill, "mixed", 2500, figures.OursDrill, 35, 0),
			figure(figures.Capture, "hex", 1000, figures.Seed, 28, 500_000_000), figure(figures.Capture, "text", 1000, figures.Seed, 20, 100_000_000),
		},
	}
}

func TestPage(t *testing.T) {
	page := run().Page()
	for _, want := range []string{
		"Taken on 28 November 2026:\n\n- 2 cores\n",
		"| capture, zstd: time / the seed's | 0.143 | 0.25 | held |",
		"| waiting worker: % of a core | 2 | 1 | **missed** |",
		"| capture, gzip: time / the seed's | — | 0.3 | **not measured** |",
		`| docker exec pg_dump \| gzip | 70.0 | 70.0–70.0 | 1.00 | 140.0 | 0.0 | 0.0 | 1.00 | 70 | 900 | 1.00 | 1 |`,
		"| **canton-backup zstd** | 10.0 | 10.0–10.0 | 0.14 |",
		"| **canton-backup zstd, restore** | 20.0 | 20.0–20.0 | 1.00 | 40.0 | 0.0 | 0.0 | 1.00 | 20 |  |  | 1 |\n| **canton-backup drill** | 35.0 | 35.0–35.0 | 1.75 |",
		"| Subject | 250 MB | 2500 MB |\n|---|---|---|\n" + `| docker exec pg_dump \| gzip | 7.0 / 14.0 / 7 | 70.0 / 140.0 / 70 |`,
		"| Subject | hex, 1000 MB | text, 1000 MB |",
		"| 28.0 / 56.0 / 0.50 | 20.0 / 40.0 / 0.10 |",
		"| capture | pgBackRest | time | 2.00 (mixed, 2500 MB) | It copies data files",
		"| capture | cp & pray | time | 1.25 (mixed, 2500 MB) | not explained yet |",
	} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "| capture | docker exec", "a peer that is worse is no loss")
	for line := range strings.Lines(page) {
		require.False(t, strings.HasSuffix(strings.TrimRight(line, "\n"), " "), "blank at the end of %q", line)
	}
}

func TestPage_NothingLost(t *testing.T) {
	r := run()
	r.Set = r.Set[:2]
	require.Contains(t, r.Page(), "No peer was better")
	require.NotContains(t, r.Page(), "## Restore")
}

func TestPlot(t *testing.T) {
	plot := run().Plot()
	decoder := xml.NewDecoder(strings.NewReader(plot))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	require.Contains(t, plot, ">cp &amp; pray<")
	require.Contains(t, plot, "Capture of 2500 MB of SQL text")
	require.Contains(t, plot, `<rect class="cpu" x="230" y="86" width="540.0"`, "the longest bar is as long as may be")
	require.Contains(t, plot, "prefers-color-scheme: dark")
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, run().Write(dir))
	for _, name := range []string{"benchmarks.md", "benchmarks.json", "img/benchmarks.svg"} {
		require.FileExists(t, filepath.Join(dir, name))
	}
	data, err := os.ReadFile(filepath.Join(dir, "benchmarks.json"))
	require.NoError(t, err)
	var list []map[string]any
	require.NoError(t, json.Unmarshal(data, &list))
	require.Len(t, list, len(run().Set))
	require.Error(t, run().Write(filepath.Join(dir, "benchmarks.md")), "a file is no folder")
}
