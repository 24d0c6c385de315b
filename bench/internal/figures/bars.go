package figures

import (
	"fmt"
	"math"
	"time"
)

// Idle is what the worker costs while it waits.
type Idle struct {
	Core     float64 // of one processor
	Resident int64   // bytes
	Machine  float64 // what the whole machine worked meanwhile, in processors
	Span     time.Duration
}

// Bar is one promise and what was measured.
type Bar struct {
	What  string
	Got   float64 // no number when one of its figures was not taken
	Limit float64
}

// Taken tells whether its figures were measured.
func (b Bar) Taken() bool { return !math.IsNaN(b.Got) }

// Held tells whether the promise was kept. One that was not measured was not.
func (b Bar) Held() bool { return b.Got <= b.Limit }

// Bars are the product's promises, in one order always. Ratios are to peers of the same run, so that they hold on another machine, too.
func (s Set) Bars(idle *Idle) []Bar {
	at := func(name string) Case { return Case{name, Mixed, s.Main()} }
	capture, backup, restore, drill := at(Capture), at(Backup), at(Restore), at(Drill)
	bars := []Bar{
		{"capture, zstd: time / the seed's", s.ratio(wall, capture, OursZstd, capture, Seed), 0.25},
		{"capture, zstd: time / that of `pg_dump | zstd -1` in the container", s.ratio(wall, capture, OursZstd, capture, ZstdContainer), 1},
		{"capture, zstd: bytes / the seed's", s.ratio(out, capture, OursZstd, capture, Seed), 1},
		{"capture, zstd: CPU of client and server / the seed's", s.ratio(cpu, capture, OursZstd, capture, Seed), 0.4},
		{"capture, gzip: time / the seed's", s.ratio(wall, capture, OursGzip, capture, Seed), 0.3},
		{"capture, gzip: bytes / the seed's", s.ratio(out, capture, OursGzip, capture, Seed), 1},
	}
	for _, encrypted := range [][2]string{{OursZstdAge, OursZstd}, {OursZstdGPG, OursZstd}, {OursGzipAge, OursGzip}} {
		bars = append(bars, Bar{encrypted[0] + ": time of a capture / the plain one's", s.ratio(wall, capture, encrypted[0], capture, encrypted[1]), 1.15})
	}
	bars = append(bars,
		Bar{"backup to S3, zstd and age, read back: time / that of `pg_dump | zstd -1` alone", s.ratio(wall, backup, OursZstdAge, capture, ZstdContainer), 1.6},
		Bar{"restore, gzip: time / that of `gunzip -c | psql`", s.ratio(wall, restore, OursGzip, restore, GunzipPsql), 0.6},
		Bar{"restore, zstd: time / that of `gunzip -c | psql`", s.ratio(wall, restore, OursZstd, restore, GunzipPsql), 0.6},
		Bar{"restore, zstd: time / that of `zstd -dc | psql -1`", s.ratio(wall, restore, OursZstd, restore, ZstdPsql), 1.1},
		Bar{"drill, contents proved: time / that of our restore, zstd", s.ratio(wall, drill, OursDrill, restore, OursZstd), 2})
	least, most := s.memory()
	bars = append(bars,
		Bar{"backup: MB of worker and helper at their worst, any size", most / 1e6, 400},
		Bar{"backup: the most memory at any size / the least", most / least, 1.15})
	core, resident := math.NaN(), math.NaN()
	if idle != nil {
		core, resident = idle.Core*100, float64(idle.Resident)/1e6
	}
	return append(bars,
		Bar{"waiting worker: % of a core", core, 1},
		Bar{"waiting worker: MB resident", resident, 260})
}

func wall(s Sample) float64 { return s.Wall.Seconds() }
func cpu(s Sample) float64  { return s.CPU.Seconds() }
func out(s Sample) float64  { return float64(s.Out) }

// ratio is no number when one of the two is missing.
func (s Set) ratio(of func(Sample) float64, a Case, subject string, b Case, to string) float64 {
	x, foundX := s.Find(a, subject)
	y, foundY := s.Find(b, to)
	if !foundX || !foundY {
		return math.NaN()
	}
	return of(x.Median) / of(y.Median)
}

// memory is the least and the most of a backup's peaks over all sizes of mixed data.
func (s Set) memory() (least, most float64) {
	least, most = math.NaN(), math.NaN()
	for _, f := range s {
		if f.Case.Name != Backup || f.Case.Kind != Mixed || f.Subject != OursZstdAge {
			continue
		}
		peak := float64(f.Median.Peak)
		if math.IsNaN(most) {
			least, most = peak, peak
		}
		least, most = min(least, peak), max(most, peak)
	}
	return least, most
}

// Word is how a bar ended.
func (b Bar) Word() string {
	switch {
	case !b.Taken():
		return "not measured"
	case b.Held():
		return "held"
	default:
		return "missed"
	}
}

// String is the measured value.
func (b Bar) String() string {
	if !b.Taken() {
		return "—"
	}
	return fmt.Sprintf("%.3g", b.Got)
}
