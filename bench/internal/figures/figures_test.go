package figures_test

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/bench/internal/figures"
)

func figure(name string, mb int, subject string, wall, cpu time.Duration, peak, out int64) figures.Figure {
	return figures.Of(figures.Case{Name: name, Kind: figures.Mixed, SizeMB: mb}, subject, int64(mb)*1_000_000,
		[]figures.Sample{{Wall: wall * time.Second, CPU: cpu * time.Second, Peak: peak, Out: out}})
}

// good is a set in which every promise is held, at its limit.
func good() figures.Set {
	const main = figures.MainMB
	return figures.Set{
		figure(figures.Capture, main, figures.Seed, 100, 100, 1, 1000),
		figure(figures.Capture, main, figures.ZstdContainer, 25, 30, 1, 900),
		figure(figures.Capture, main, figures.OursZstd, 25, 40, 1, 1000),
		figure(figures.Capture, main, figures.OursGzip, 30, 50, 1, 1000),
		figure(figures.Capture, main, figures.OursZstdAge, 28, 50, 1, 1000),
		figure(figures.Capture, main, figures.OursZstdGPG, 28, 50, 1, 1000),
		figure(figures.Capture, main, figures.OursGzipAge, 34, 50, 1, 1000),
		figure(figures.Backup, 250, figures.OursZstdAge, 5, 5, 350_000_000, 1000),
		figure(figures.Backup, main, figures.OursZstdAge, 40, 50, 400_000_000, 1000),
		figure(figures.Restore, main, figures.GunzipPsql, 100, 1, 1, 0),
		figure(figures.Restore, main, figures.ZstdPsql, 60, 1, 1, 0),
		figure(figures.Restore, main, figures.OursGzip, 60, 1, 1, 0),
		figure(figures.Restore, main, figures.OursZstd, 60, 1, 1, 0),
		figure(figures.Drill, main, figures.OursDrill, 120, 1, 1, 0),
	}
}

func TestBars(t *testing.T) {
	idle := figures.Idle{Core: 0.01, Resident: 260_000_000}
	for _, bar := range good().Bars(&idle) {
		require.True(t, bar.Held(), "%s: %s", bar.What, bar)
	}
	for name, c := range map[string]struct {
		worse int // index in good
		by    func(*figures.Sample)
		want  []string
	}{
		"zstd slower than the container's": {2, func(s *figures.Sample) { s.Wall += time.Second / 2 },
			[]string{"capture, zstd: time / the seed's", "capture, zstd: time / that of `pg_dump | zstd -1` in the container"}},
		"zstd larger":             {2, func(s *figures.Sample) { s.Out++ }, []string{"capture, zstd: bytes / the seed's"}},
		"zstd busier":             {2, func(s *figures.Sample) { s.CPU += time.Second }, []string{"capture, zstd: CPU of client and server / the seed's"}},
		"gzip slower":             {3, func(s *figures.Sample) { s.Wall += time.Second }, []string{"capture, gzip: time / the seed's"}},
		"gzip larger":             {3, func(s *figures.Sample) { s.Out++ }, []string{"capture, gzip: bytes / the seed's"}},
		"age slower":              {4, func(s *figures.Sample) { s.Wall += time.Second }, []string{figures.OursZstdAge + ": time of a capture / the plain one's"}},
		"GPG slower":              {5, func(s *figures.Sample) { s.Wall += time.Second }, []string{figures.OursZstdGPG + ": time of a capture / the plain one's"}},
		"gzip and age slower":     {6, func(s *figures.Sample) { s.Wall += time.Second }, []string{figures.OursGzipAge + ": time of a capture / the plain one's"}},
		"less memory when small":  {7, func(s *figures.Sample) { s.Peak = 300_000_000 }, []string{"backup: the most memory at any size / the least"}},
		"much memory when small":  {7, func(s *figures.Sample) { s.Peak = 401_000_000 }, []string{"backup: MB of worker and helper at their worst, any size"}},
		"backup slower":           {8, func(s *figures.Sample) { s.Wall += time.Second }, []string{"backup to S3, zstd and age, read back: time / that of `pg_dump | zstd -1` alone"}},
		"restore of gzip slower":  {11, func(s *figures.Sample) { s.Wall += time.Second }, []string{"restore, gzip: time / that of `gunzip -c | psql`"}},
		"restore of zstd slower":  {12, func(s *figures.Sample) { s.Wall += time.Second }, []string{"restore, zstd: time / that of `gunzip -c | psql`"}},
		"restore of zstd than -1": {10, func(s *figures.Sample) { s.Wall = 54 * time.Second }, []string{"restore, zstd: time / that of `zstd -dc | psql -1`"}},
		"drill slower":            {13, func(s *figures.Sample) { s.Wall += time.Second }, []string{"drill, contents proved: time / that of our restore, zstd"}},
	} {
		t.Run(name, func(t *testing.T) {
			set := good()
			c.by(&set[c.worse].Median)
			var missed []string
			for _, bar := range set.Bars(&idle) {
				if !bar.Held() {
					missed = append(missed, bar.What)
				}
			}
			require.Equal(t, c.want, missed)
		})
	}
}

func TestBars_NotMeasured(t *testing.T) {
	bars := figures.Set{}.Bars(nil)
	require.Len(t, bars, len(good().Bars(&figures.Idle{})))
	for _, bar := range bars {
		require.False(t, bar.Taken(), bar.What)
		require.False(t, bar.Held(), bar.What)
		require.Equal(t, "not measured", bar.Word())
		require.Equal(t, "—", bar.String())
	}
	require.Equal(t, "missed", figures.Bar{Got: 2, Limit: 1}.Word())
	require.Equal(t, "held", figures.Bar{Got: 1, Limit: 1}.Word())
	require.False(t, figures.Bar{Got: math.Inf(1), Limit: 1}.Held())
}

func TestOf(t *testing.T) {
	f := figures.Of(figures.Case{}, "x", 7, []figures.Sample{{Wall: 5, CPU: 1, Client: 2, Container: 3, Peak: 9, Out: 4}, {Wall: 1, CPU: 9, Peak: 1, Out: 4}, {Wall: 2, CPU: 2, Client: 1, Peak: 5, Out: 8}})
	require.Equal(t, figures.Figure{Subject: "x", Stream: 7, Runs: 3, Fastest: 1, Slowest: 5, Median: figures.Sample{Wall: 2, CPU: 2, Client: 1, Container: 0, Peak: 5, Out: 4}}, f)
	require.EqualValues(t, 3, figures.Median([]int64{4, 2}))
}

func TestWriteJSON(t *testing.T) {
	set := figures.Set{figures.Of(figures.Case{Name: "capture", Kind: "mixed", SizeMB: 250}, figures.Seed, 250_219_725,
		[]figures.Sample{{Wall: 1234 * time.Millisecond, CPU: 2 * time.Second, Peak: 5, Out: 6}})}
	var out bytes.Buffer
	require.NoError(t, set.WriteJSON(&out))
	var read []map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &read))
	require.Equal(t, []map[string]any{{"case": "capture/mixed", "subject": "docker exec pg_dump | gzip", "stream_bytes": 250219725.0,
		"wall_s": 1.23, "cpu_s": 2.0, "peak_bytes": 5.0, "out_bytes": 6.0}}, read)
	out.Reset()
	require.NoError(t, figures.Set{}.WriteJSON(&out))
	require.Equal(t, "[]\n", out.String())
}

func TestSet_Main(t *testing.T) {
	require.Equal(t, figures.MainMB, good().Main())
	other := figures.Set{figure(figures.Capture, 250, "x", 1, 1, 1, 1), figure(figures.Capture, 1000, "x", 1, 1, 1, 1), {Case: figures.Case{Kind: "hex", SizeMB: 9000}}}
	require.Equal(t, 1000, other.Main())
}

func TestLosses(t *testing.T) {
	recommended := map[string]string{figures.Capture: figures.OursZstd}
	set := figures.Set{
		figure(figures.Capture, 250, figures.Seed, 100, 10, 5, 1000),
		figure(figures.Capture, 250, figures.OursZstd, 10, 20, 10, 1000),
		figure(figures.Capture, 250, figures.OursGzip, 1, 1, 1, 1),    // ours is no peer
		figure(figures.Capture, 250, figures.Rclone, 10, 20, 10, 980), // within what two runs differ by
		figure(figures.Restore, 250, figures.Seed, 1, 1, 1, 1),
	}
	c := figures.Case{Name: figures.Capture, Kind: figures.Mixed, SizeMB: 250}
	require.Equal(t, []figures.Loss{
		{Case: c, Peer: figures.Seed, Ours: figures.OursZstd, Measure: figures.CPU, Ratio: 2},
		{Case: c, Peer: figures.Seed, Ours: figures.OursZstd, Measure: figures.Memory, Ratio: 2},
	}, set.Losses(recommended))
}
