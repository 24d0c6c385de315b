// Package document writes what a benchmark measured for people: a page, a plot, and where the product loses and why.
package document

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"canton-backup/bench/internal/figures"
)

// Run is one run of the benchmark.
type Run struct {
	Date  time.Time
	Facts []string // of the machine and its programs, a line each
	Set   figures.Set
	Idle  *figures.Idle // nil when nobody watched the waiting worker
}

// Write puts benchmarks.md, benchmarks.json and img/benchmarks.svg into a folder.
func (r Run) Write(folder string) error {
	var data bytes.Buffer
	if err := r.Set.WriteJSON(&data); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(folder, "img"), 0o755); err != nil {
		return fmt.Errorf("write benchmarks: %w", err)
	}
	for name, content := range map[string][]byte{"benchmarks.md": []byte(r.Page()), "benchmarks.json": data.Bytes(), "img/benchmarks.svg": []byte(r.Plot())} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return fmt.Errorf("write benchmarks: %w", err)
		}
	}
	return nil
}

// Page is benchmarks.md.
func (r Run) Page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\n<!-- Written by `make bench`. Edit bench/internal/document. -->\n\n%s\n", introduction)
	fmt.Fprintf(&b, "Taken on %s:\n\n", r.Date.UTC().Format("2 January 2006"))
	for _, fact := range r.Facts {
		fmt.Fprintf(&b, "- %s\n", fact)
	}
	fmt.Fprintf(&b, "\n![Time and CPU of a capture and of a backup](img/benchmarks.svg)\n\n")
	r.promises(&b)
	for _, name := range names {
		r.mainCase(&b, name)
	}
	r.sizes(&b)
	r.kinds(&b)
	r.losses(&b)
	fmt.Fprintf(&b, "\n%s", reading)
	return b.String()
}

func (r Run) promises(b *strings.Builder) {
	fmt.Fprintf(b, "## Promises\n\n`make bench` fails when one is missed. Mixed data, %d MB of SQL text, unless the line says otherwise.\n\n", r.Set.Main())
	rows := [][]string{{"Promise", "Measured", "At most", ""}}
	for _, bar := range r.Set.Bars(r.Idle) {
		word := bar.Word()
		if !bar.Held() {
			word = "**" + word + "**"
		}
		rows = append(rows, []string{bar.What, bar.String(), fmt.Sprintf("%g", bar.Limit), word})
	}
	table(b, rows)
}

// names are the cases in the order of the page.
var names = []string{figures.Capture, figures.Backup, figures.Restore, figures.Drill}

// titles are the headings of the cases, and what is to be known before their figures.
var titles = map[string][2]string{
	figures.Capture: {"Capture", "The participant's database to one file, or one repository, on the same disk."},
	figures.Backup: {"Backup", "Both databases to an S3 server on the loopback interface, the validator's first. Ours is `canton-backup backup`, asked of the worker that runs: " +
		"checks of the pair, encryption to age, a copy that stays here, upload, and every byte read back. The peers do none of that, but restic encrypts. pgBackRest writes to a folder, for its S3 wants TLS."},
	figures.Restore: {"Restore", "The same dump into an empty database of the same server. The peers run in the server's container, the file beside them; ours reads the file on the host."},
	figures.Drill: {"Drill", "`canton-backup drill`: fetch the set of a backup from the S3 server, decrypt it, start a throw-away server, load both databases, compare every row with what was dumped. " +
		"Our restore of the same text is beside it."},
}

func (r Run) mainCase(b *strings.Builder, name string) {
	c := figures.Case{Name: name, Kind: figures.Mixed, SizeMB: r.Set.Main()}
	set := r.Set.Of(c)
	if len(set) == 0 {
		return
	}
	if name == figures.Drill {
		if restore, ok := r.Set.Find(figures.Case{Name: figures.Restore, Kind: c.Kind, SizeMB: c.SizeMB}, figures.OursZstd); ok {
			restore.Subject += ", restore"
			set = append(figures.Set{restore}, set...)
		}
	}
	fmt.Fprintf(b, "\n## %s\n\n%s Mixed data, %d MB of SQL text; ratios are to the first line.\n\n", titles[name][0], titles[name][1], set[0].Stream/1_000_000)
	rows := [][]string{{"Subject", "Time s", "from–to", "ratio", "CPU s", "client", "server", "ratio", "Memory MB", "MB made", "ratio", "Runs"}}
	first := set[0].Median
	for _, f := range set {
		m := f.Median
		made, share := "", ""
		if m.Out > 0 {
			made, share = megabytes(m.Out), ratio(float64(m.Out), float64(first.Out))
		}
		rows = append(rows, []string{subject(f.Subject), seconds(m.Wall), seconds(f.Fastest) + "–" + seconds(f.Slowest), ratio(m.Wall.Seconds(), first.Wall.Seconds()),
			seconds(m.CPU), seconds(m.Client), seconds(m.Container), ratio(m.CPU.Seconds(), first.CPU.Seconds()), megabytes(m.Peak), made, share, fmt.Sprint(f.Runs)})
	}
	table(b, rows)
}

// sizes shows what grows with the stream, and what does not.
func (r Run) sizes(b *strings.Builder) {
	for _, name := range []string{figures.Capture, figures.Backup} {
		r.compare(b, "\n## "+titles[name][0]+" by size\n\nMixed data, by MB of SQL text: seconds / CPU seconds / MB of memory.\n\n", func(c figures.Case) bool { return c.Name == name && c.Kind == figures.Mixed },
			func(f figures.Figure) string { return megabytes(f.Stream) + " MB" },
			func(f figures.Figure) string {
				return seconds(f.Median.Wall) + " / " + seconds(f.Median.CPU) + " / " + megabytes(f.Median.Peak)
			})
	}
}

func (r Run) kinds(b *strings.Builder) {
	size := 0
	for _, f := range r.Set {
		if f.Case.Kind != figures.Mixed {
			size = f.Case.SizeMB
		}
	}
	r.compare(b, "\n## Capture by kind of data\n\n"+kindsText+" Seconds / CPU seconds / share of the text that is stored.\n\n",
		func(c figures.Case) bool { return c.Name == figures.Capture && c.SizeMB == size && size > 0 },
		func(f figures.Figure) string { return f.Case.Kind + ", " + megabytes(f.Stream) + " MB" },
		func(f figures.Figure) string {
			return seconds(f.Median.Wall) + " / " + seconds(f.Median.CPU) + " / " + ratio(float64(f.Median.Out), float64(f.Stream))
		})
}

// compare writes a table with a column for each case that is wanted, and a line for each subject.
func (r Run) compare(b *strings.Builder, title string, want func(figures.Case) bool, head, cell func(figures.Figure) string) {
	var cases []figures.Case
	var subjects []string
	header := []string{"Subject"}
	for _, f := range r.Set {
		if !want(f.Case) {
			continue
		}
		if !slices.Contains(cases, f.Case) {
			cases, header = append(cases, f.Case), append(header, head(f))
		}
		if !slices.Contains(subjects, f.Subject) {
			subjects = append(subjects, f.Subject)
		}
	}
	if len(cases) < 2 {
		return
	}
	rows := [][]string{header}
	for _, name := range subjects {
		row := []string{subject(name)}
		for _, c := range cases {
			text := ""
			if f, ok := r.Set.Find(c, name); ok {
				text = cell(f)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	b.WriteString(title)
	table(b, rows)
}

// table writes Markdown; the first row is the header.
func table(b *strings.Builder, rows [][]string) {
	for i, row := range rows {
		for j, cell := range row {
			row[j] = strings.ReplaceAll(cell, "|", `\|`)
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(b, "|%s\n", strings.Repeat("---|", len(row)))
		}
	}
}

// subject is bold when it is ours.
func subject(name string) string {
	if figures.Ours(name) {
		return "**" + name + "**"
	}
	return name
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

func megabytes(bytes int64) string { return fmt.Sprint((bytes + 500_000) / 1_000_000) }

func ratio(a, b float64) string {
	if b == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", a/b)
}
