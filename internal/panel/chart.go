package panel

import (
	"fmt"
	"slices"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
)

const (
	barsShown   = 180 // newest sets: a month of backups every 4 h
	chartWidth  = 1000.0
	chartHeight = 100.0
)

// chart is a bar for each set, oldest first, at its time: where no set was made there is a gap.
type chart struct {
	Name, ID    string
	Says        string // for those who do not see it
	Top, Middle string // labels of the axis
	From, To    string // of the time axis
	Parts       []part // legend, from the bottom up, empty for bars of one part
	Bars        []bar
}

// part is one colour of a stacked bar.
type part struct{ Class, Name string }

// bar is a set, in the units of the drawing.
type bar struct {
	X, Width float64
	Title    string
	Blocks   []block
}

// block is a part of a bar, or the whole.
type block struct {
	Class     string
	Y, Height float64
}

// series is what a chart shows of a set: values from the bottom up, and its axis.
type series struct {
	name, id string
	parts    []part
	values   func(health.Set) []float64
	words    func(float64) string
	top      func(highest float64) float64
}

func charts(newestFirst []health.Set, until time.Time) []chart {
	if len(newestFirst) < 2 {
		return nil // nothing to compare
	}
	sets := slices.Clone(newestFirst[:min(len(newestFirst), barsShown)])
	slices.Reverse(sets)
	return []chart{
		draw(sets, until, series{name: "Stored size", id: "sizes", parts: []part{{"a", ""}}, top: topBytes, words: func(v float64) string { return size(int64(v)) },
			values: func(s health.Set) []float64 { return []float64{float64(s.Bytes)} }}),
		draw(sets, until, series{name: "How long a backup took", id: "durations", parts: []part{{"c", "validator dump"}, {"a", "participant dump"}, {"b", "the rest"}}, top: topSeconds, words: took,
			values: func(s health.Set) []float64 {
				v, p := max(s.DumpS.Validator, 0), max(s.DumpS.Participant, 0)
				return []float64{v, p, max(s.DurationS-v-p, 0)}
			}}),
	}
}

// draw goes on until the time of the report: that no set was made of late is a gap, too.
func draw(sets []health.Set, until time.Time, s series) chart {
	first, last := sets[0].Set.Time(), sets[len(sets)-1].Set.Time()
	if until.After(last) {
		last = until
	}
	span := max(last.Sub(first).Seconds(), 1)
	width := min(max(0.72*chartWidth/float64(len(sets)), 3), 60)
	highest := 0.0
	for _, set := range sets {
		highest = max(highest, sum(s.values(set)))
	}
	top := s.top(highest)
	c := chart{Name: s.name, ID: s.id, Top: s.words(top), Middle: s.words(top / 2), From: first.Format("2 Jan"), To: last.Format("2 Jan")}
	if len(s.parts) > 1 {
		c.Parts = s.parts
	}
	for _, set := range sets {
		values := s.values(set)
		b := bar{Width: width, X: set.Set.Time().Sub(first).Seconds() / span * (chartWidth - width), Title: fmt.Sprintf("%s: %s", set.Set, s.words(sum(values)))}
		if set.Verdict != backupset.Pass {
			b.Title += ", " + string(set.Verdict)
		}
		y := chartHeight
		for i, value := range values {
			height := value / top * chartHeight
			y -= height
			b.Blocks = append(b.Blocks, block{Class: s.parts[i].Class, Y: y, Height: height})
		}
		c.Bars = append(c.Bars, b)
	}
	oldest, newest := sum(s.values(sets[0])), sum(s.values(sets[len(sets)-1]))
	c.Says = fmt.Sprintf("%d sets from %s to %s. The oldest: %s, the newest: %s, the highest: %s. The table of sets below has every figure.",
		len(sets), c.From, c.To, s.words(oldest), s.words(newest), s.words(highest))
	return c
}

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}

// topBytes is a round number of bytes that is not below the highest.
func topBytes(highest float64) float64 {
	unit := 1.0
	for highest > 1000*unit {
		unit *= 1024
	}
	for decade := unit; ; decade *= 10 {
		for _, step := range []float64{1, 2, 4, 6, 8} {
			if highest <= step*decade {
				return step * decade
			}
		}
	}
}

// topSeconds is a round length of time that is not below the highest.
func topSeconds(highest float64) float64 {
	for _, step := range []float64{1, 2, 4, 10, 20, 30, 60, 120, 240, 360, 600, 1200, 1800, 3600, 7200, 4 * 3600, 6 * 3600, 12 * 3600, 24 * 3600} {
		if highest <= step {
			return step
		}
	}
	const day = 24 * 3600.0
	return day * float64(int(highest/day)+1)
}
