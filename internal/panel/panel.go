// Package panel serves one screen that answers "could I restore, and to when?", the same as JSON, its metrics, and /healthz. It shows
// what a report of the node's health says and judges nothing itself.
package panel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"

	"canton-backup/internal/health"
)

const (
	reportTime = 10 * time.Second // that a request waits for a report
	staleAfter = 15 * time.Minute // a report of this age says nothing of now
)

// Options of the panel.
type Options struct {
	Report  func(context.Context) health.Report // of now, or of shortly ago; a zero one before the first
	Metrics http.Handler                        // answers /metrics
	Address string                              // host:port at which it is served: its host is a name that the panel answers to
	Logger  *slog.Logger                        // nil means silence
	Now     func() time.Time                    // nil means time.Now
}

// Panel answers the requests of people, probes and Prometheus. It only ever reads.
type Panel struct {
	options Options
	mux     *http.ServeMux
	page    *page
}

var _ http.Handler = (*Panel)(nil)

// New makes a panel.
func New(o Options) *Panel {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Panel{options: o, mux: http.NewServeMux(), page: newPage()}
	p.mux.HandleFunc("/{$}", p.servePage)
	p.mux.HandleFunc("/icon/{verdict}", p.serveIcon)
	p.mux.HandleFunc("/healthz", p.serveHealth)
	p.mux.HandleFunc("/report.json", p.serveReport)
	p.mux.Handle("/metrics", o.Metrics)
	return p
}

// ServeHTTP keeps out what has no business here, and forbids the browser everything that the page does not need.
func (p *Panel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", p.page.policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if !p.answersTo(r.Host) {
		http.Error(w, "this is not the name of this page: ask for it as 127.0.0.1, localhost, or the host of HEALTH_ADDRESS", http.StatusMisdirectedRequest)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD: nothing can be changed here", http.StatusMethodNotAllowed)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// answersTo tells whether the browser asked for one of our names. A web page elsewhere can make its own name lead to 127.0.0.1, and
// would read here as if it were ours; it cannot make the browser send another name than its own. An address is no such name.
func (p *Panel) answersTo(host string) bool {
	name := hostname(host)
	own := hostname(p.options.Address)
	if strings.EqualFold(name, "localhost") || own != "" && strings.EqualFold(name, own) {
		return true
	}
	ip, listens := net.ParseIP(name), net.ParseIP(own)
	everywhere := own == "" && p.options.Address != "" || listens != nil && listens.IsUnspecified()
	return ip != nil && (ip.IsLoopback() || everywhere)
}

// hostname cuts the port off, and the brackets of an IPv6 address.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

func (p *Panel) report(r *http.Request) health.Report {
	ctx, cancel := context.WithTimeout(r.Context(), reportTime)
	defer cancel()
	return p.options.Report(ctx)
}

func (p *Panel) servePage(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer // so that half a page is never sent
	if err := p.page.write(&b, p.report(r), p.options.Now(), r.URL.Query().Has("still")); err != nil {
		p.options.Logger.Error("status page", "error", err)
		http.Error(w, "the page cannot be shown, see the worker's log; /report.json has the same", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

// serveIcon draws the verdict for the browser's tab.
func (p *Panel) serveIcon(w http.ResponseWriter, r *http.Request) {
	colour, ok := map[string]string{"ok.svg": "#1a8a4f", "warning.svg": "#d98a00", "failed.svg": "#c8271f"}[r.PathValue("verdict")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="%s"/></svg>`, colour)
}

// serveHealth answers probes: 200 while backups are made and can be had, 503 with a line for each reason otherwise. That the worker
// answers at all is not asked: a worker that lives and makes no backups is not healthy.
func (p *Panel) serveHealth(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	report := p.report(r)
	lines := []string{string(health.OK)}
	switch old := p.options.Now().Sub(report.At); {
	case report.At.IsZero():
		lines = []string{"FAILED no-report: the node was not looked at yet"}
	case old > staleAfter:
		lines = []string{fmt.Sprintf("FAILED old-report: the node was last looked at %s ago", health.Age(old))}
	case report.Verdict != health.OK:
		lines = []string{string(report.Verdict)}
	}
	failed := strings.HasPrefix(lines[0], string(health.Failed))
	for _, problem := range report.Problems {
		if !failed || problem.Verdict == health.Failed {
			lines = append(lines, oneLine(fmt.Sprintf("%s %s: %s", problem.Verdict, problem.Key(), problem.Detail)))
		}
	}
	if failed {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = fmt.Fprintln(w, strings.Join(lines, "\n"))
}

// oneLine keeps texts of others from making lines of their own, and from steering the terminal of who asks with curl.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, strings.Join(strings.Fields(text), " "))
}

func (p *Panel) serveReport(w http.ResponseWriter, r *http.Request) {
	data, err := json.MarshalIndent(p.report(r), "", "  ")
	if err != nil {
		p.options.Logger.Error("report as JSON", "error", err)
		http.Error(w, "the report cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(data, '\n'))
}
