package document

import (
	"fmt"
	"html"
	"strings"
	"time"

	"canton-backup/bench/internal/figures"
)

// Measures of the drawing, in its own units.
const (
	plotWidth  = 860
	barsLeft   = 230
	barsWidth  = 540 // the longest bar; its value stands behind
	barHeight  = 11
	rowHeight  = 32
	titleSpace = 44
)

// style has colours for light and dark: the picture stands on a page of either.
const style = `<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px } .ours { font-weight: 600 } .value { font-size: 11px }
.page { fill: #ffffff } .wall { fill: #0b6e99 } .cpu { fill: #d08a1d }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .page { fill: #0d1117 } .wall { fill: #4cb2dd } .cpu { fill: #e0a94a } }
</style>
`

// Plot is an SVG with the time and the CPU seconds of a capture and of a backup, as bars from left to right.
func (r Run) Plot() string {
	var b strings.Builder
	y := 30
	legend(&b, y)
	for _, name := range []string{figures.Capture, figures.Backup} {
		set := r.Set.Of(figures.Case{Name: name, Kind: figures.Mixed, SizeMB: r.Set.Main()})
		if len(set) == 0 {
			continue
		}
		y += titleSpace
		fmt.Fprintf(&b, `<text class="title" x="16" y="%d">%s</text>`+"\n", y-14, html.EscapeString(fmt.Sprintf("%s of %s MB of SQL text, mixed data", titles[name][0], megabytes(set[0].Stream))))
		y = bars(&b, y, set)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n", plotWidth, y+16, html.EscapeString(r.said())) +
		style + fmt.Sprintf(`<rect class="page" width="%d" height="%d"/>`+"\n", plotWidth, y+16) + b.String() + "</svg>\n"
}

func legend(b *strings.Builder, y int) {
	x := barsLeft
	for _, part := range [][2]string{{"wall", "seconds"}, {"cpu", "CPU seconds, client and server"}} {
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="12" height="12"/><text x="%d" y="%d">%s</text>`+"\n", part[0], x, y-11, x+18, y, part[1])
		x += 110
	}
}

// bars draws two for each figure, on one scale, and returns where they end.
func bars(b *strings.Builder, y int, set figures.Set) int {
	longest := time.Duration(1)
	for _, f := range set {
		longest = max(longest, f.Median.Wall, f.Median.CPU)
	}
	for _, f := range set {
		class := "peer"
		if figures.Ours(f.Subject) {
			class = "ours"
		}
		fmt.Fprintf(b, `<text class="%s" x="%d" y="%d" text-anchor="end">%s</text>`+"\n", class, barsLeft-10, y+16, html.EscapeString(f.Subject))
		for i, value := range []time.Duration{f.Median.Wall, f.Median.CPU} {
			top := y + i*(barHeight+1)
			width := barsWidth * value.Seconds() / longest.Seconds()
			fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/><text class="value" x="%.1f" y="%d">%s</text>`+"\n",
				[]string{"wall", "cpu"}[i], barsLeft, top, width, barHeight, float64(barsLeft)+width+6, top+barHeight-1, seconds(value))
		}
		y += rowHeight
	}
	return y
}

// said is the picture for those who do not see it.
func (r Run) said() string {
	var parts []string
	for _, name := range []string{figures.Capture, figures.Backup} {
		for _, f := range r.Set.Of(figures.Case{Name: name, Kind: figures.Mixed, SizeMB: r.Set.Main()}) {
			parts = append(parts, fmt.Sprintf("%s, %s: %s s, %s CPU s", titles[name][0], f.Subject, seconds(f.Median.Wall), seconds(f.Median.CPU)))
		}
	}
	return strings.Join(parts, "; ")
}
