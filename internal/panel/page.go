package panel

import (
	"crypto/sha256"
	_ "embed" // the page's template and style
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
)

//go:embed page.html
var pageHTML string

//go:embed style.css
var styleCSS string

// page is the template with its style, and the policy that lets the browser use that style and nothing else.
type page struct {
	template *template.Template
	style    template.CSS
	policy   string
}

func newPage() *page {
	sum := sha256.Sum256([]byte(styleCSS))
	return &page{
		template: template.Must(template.New("page").Funcs(template.FuncMap{
			"tone": tone, "mark": mark, "size": size, "took": took, "when": when, "stamp": stamp, "age": health.Age, "link": link, "list": list,
		}).Parse(pageHTML)),
		style: template.CSS(styleCSS),
		policy: fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			base64.StdEncoding.EncodeToString(sum[:])),
	}
}

func (p *page) write(to io.Writer, r health.Report, now time.Time, still bool) error {
	return p.template.Execute(to, newView(r, now, still, p.style))
}

// tone is the class of a verdict: of a report, a problem, a set, a check or a run.
func tone(verdict any) string {
	switch fmt.Sprint(verdict) {
	case string(health.OK), string(backupset.Pass), "Completed":
		return "ok"
	case string(health.Failed), string(backupset.Fail), "Terminated", "TimedOut":
		return "fail"
	case string(health.Warning), string(backupset.Unknown):
		return "warn"
	}
	if verdict == "Failed" { // Temporal's word
		return "fail"
	}
	return "none"
}

// mark is the sign of a tone: nothing is said by colour alone.
func mark(tone string) string {
	return map[string]string{"ok": "✓", "warn": "!", "fail": "✕"}[tone]
}

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// count writes a number with spaces between thousands.
func count(n int64) string { return humanize.FormatInteger("# ###,", int(n)) }

// took writes a length of time in seconds as people say it, to the second below an hour: restores are compared by it.
func took(seconds float64) string {
	switch d := (time.Duration(seconds*1000) * time.Millisecond).Round(time.Second); {
	case d < time.Second && seconds > 0:
		return fmt.Sprintf("%.1f s", seconds)
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	default:
		return health.Age(d)
	}
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2 Jan 2006 15:04 UTC")
}

// stamp is a time for machines.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// link lets addresses of the web through, and nothing else: "" is no link.
func link(address string) string {
	if strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://") {
		return address
	}
	return ""
}

func list(names []string) string { return strings.Join(names, ", ") }
