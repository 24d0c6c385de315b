package panel_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/health"
	"canton-backup/internal/panel"
	"canton-backup/internal/testkit/reports"
)

func options(r health.Report) panel.Options {
	return panel.Options{Report: func(context.Context) health.Report { return r }, Address: "127.0.0.1:0", Now: func() time.Time { return reports.Now.Add(5 * time.Second) },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "some metrics\n") })}
}

// ask asks the panel for a path under a host name.
func ask(t *testing.T, o panel.Options, method, host, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	panel.New(o).ServeHTTP(w, r)
	return w
}

func get(t *testing.T, r health.Report, path string) *httptest.ResponseRecorder {
	t.Helper()
	return ask(t, options(r), http.MethodGet, "127.0.0.1:8234", path)
}

func TestPanel_Paths(t *testing.T) {
	for path, want := range map[string]struct {
		code     int
		kind     string
		contains string
	}{
		"/":                {200, "text/html; charset=utf-8", "Could I restore, and to when?"},
		"/?still":          {200, "text/html; charset=utf-8", "Let it reload"},
		"/metrics":         {200, "", "some metrics"},
		"/report.json":     {200, "application/json", `"verdict": "OK"`},
		"/healthz":         {200, "text/plain; charset=utf-8", "OK\n"},
		"/icon/ok.svg":     {200, "image/svg+xml", "<circle"},
		"/icon/other.svg":  {404, "text/plain; charset=utf-8", ""},
		"/index.html":      {404, "text/plain; charset=utf-8", ""},
		"/../../etc/hosts": {307, "", ""},
	} {
		w := get(t, reports.Good(), path)
		require.Equal(t, want.code, w.Code, path)
		require.Contains(t, w.Body.String(), want.contains, path)
		if want.kind != "" {
			require.Equal(t, want.kind, w.Header().Get("Content-Type"), path)
		}
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), path)
		require.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"), path)
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), path)
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-", path)
	}
}

func TestPanel_ReportIsWhole(t *testing.T) {
	want := reports.Good()
	var got health.Report
	require.NoError(t, json.Unmarshal(get(t, want, "/report.json").Body.Bytes(), &got))
	require.Equal(t, want.Sets[0], got.Sets[0])
	require.Equal(t, want.LastGood, got.LastGood)
}

func TestPanel_OnlyReads(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "TRACE"} {
		for _, path := range []string{"/", "/metrics", "/healthz"} {
			w := ask(t, options(reports.Good()), method, "localhost:8234", path)
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, "%s %s", method, path)
			require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
		}
	}
	require.Equal(t, 200, ask(t, options(reports.Good()), http.MethodHead, "localhost:8234", "/").Code)
}

// A web page elsewhere can make its own name lead to 127.0.0.1.
func TestPanel_AnswersToItsNamesAlone(t *testing.T) {
	for _, c := range []struct {
		address, host string
		answers       bool
	}{
		{"127.0.0.1:8234", "127.0.0.1:8234", true}, {"127.0.0.1:8234", "127.0.0.1", true}, {"127.0.0.1:8234", "LOCALHOST:8234", true},
		{"127.0.0.1:8234", "[::1]:8234", true}, {"127.0.0.1:8234", "[::1]", true}, {"127.0.0.1:8234", "127.9.9.9:1", true},
		{"127.0.0.1:8234", "evil.example:8234", false}, {"127.0.0.1:8234", "127.0.0.1.evil.example", false}, {"127.0.0.1:8234", "localhost.evil.example", false},
		{"127.0.0.1:8234", "", false}, {"127.0.0.1:8234", "192.0.2.1:8234", false}, {"127.0.0.1:8234", "backup.example:8234", false},
		{"backup.example:8234", "Backup.Example:8234", true}, {"backup.example:8234", "other.example:8234", false}, {"192.0.2.1:8234", "192.0.2.1:8234", true},
		{"0.0.0.0:8234", "192.0.2.1:8234", true}, {"[::]:8234", "[2001:db8::1]:8234", true}, {"0.0.0.0:8234", "evil.example:8234", false},
	} {
		o := options(reports.Good())
		o.Address = c.address
		for _, path := range []string{"/", "/report.json", "/metrics", "/healthz"} {
			w := ask(t, o, http.MethodGet, c.host, path)
			require.Equal(t, c.answers, w.Code == 200, "%s asked for as %q: %d", c.address, c.host, w.Code)
			require.Equal(t, c.answers, w.Code != http.StatusMisdirectedRequest)
		}
	}
}

// Freshness, not liveness.
func TestPanel_Health(t *testing.T) {
	old, paused, warned, first := reports.Good(), reports.Good(), reports.Good(), health.Report{}
	old.At = reports.Now.Add(-16 * time.Minute)
	paused.Schedule.Paused, paused.Schedule.Note = true, "spring\ncleaning\nOK\x1b[2J"
	paused.Places[1].Error = "ssh: connection refused"
	warned.KMS, warned.Identity.State = 0, "NONE"
	for name, c := range map[string]struct {
		report health.Report
		code   int
		body   string
	}{
		"good":             {reports.Good(), 200, "OK\n"},
		"warning":          {health.Judge(warned), 200, "WARNING\nWARNING no-identities: set 20261128_080000 holds none\n"},
		"failed":           {health.Judge(paused), 503, "FAILED\nFAILED schedule-paused: schedule backup-validator-1 is paused: spring cleaning OK[2J\nFAILED place-unreadable/rsync: ssh: connection refused\n"},
		"nobody looks":     {old, 503, "FAILED old-report: the node was last looked at 16 min ago\n"},
		"before the first": {first, 503, "FAILED no-report: the node was not looked at yet\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := get(t, c.report, "/healthz")
			require.Equal(t, c.code, w.Code)
			require.Equal(t, c.body, w.Body.String())
		})
	}
}

func TestPanel_ReportMustComeInTime(t *testing.T) {
	o := options(reports.Good())
	o.Report = func(ctx context.Context) health.Report {
		deadline, ok := ctx.Deadline()
		require.True(t, ok)
		require.LessOrEqual(t, time.Until(deadline), 10*time.Second)
		return reports.Good()
	}
	require.Equal(t, 200, ask(t, o, http.MethodGet, "localhost", "/").Code)
}

func TestServe_PortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	o := options(reports.Good())
	o.Address = l.Addr().String()
	_, err = panel.Serve(o)
	require.ErrorIs(t, err, panel.ErrPortTaken)
	require.ErrorContains(t, err, "serve status page at "+o.Address)
}

func TestServe_ClosesAndLeavesThePort(t *testing.T) {
	s, err := panel.Serve(options(reports.Good()))
	require.NoError(t, err)
	response, err := http.Get(s.URL)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Contains(t, string(body), "validator-1")
	require.NoError(t, s.Close())
	l, err := net.Listen("tcp", strings.TrimSuffix(strings.TrimPrefix(s.URL, "http://"), "/"))
	require.NoError(t, err)
	require.NoError(t, l.Close())
}
