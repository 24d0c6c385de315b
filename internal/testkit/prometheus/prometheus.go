// Package prometheus runs Debian's Prometheus and Alertmanager for tests, on the files that operators get, and keeps what Alertmanager tells.
package prometheus

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/testkit/child"
)

// patience is for a machine that does ten other things. Where all is well an answer takes a few seconds.
const patience = 4 * time.Minute

// Server is a Prometheus with its Alertmanager.
type Server struct {
	t     testing.TB
	URL   string // of Prometheus
	pager pager
}

// Start starts both servers, with all waiting in their configuration cut short. target is host:port of the worker's metrics.
func Start(t testing.TB, target string) *Server {
	t.Helper()
	s := &Server{t: t}
	dir, pages := t.TempDir(), httptest.NewServer(&s.pager)
	t.Cleanup(pages.Close)
	prometheus, alertmanager := fmt.Sprintf("127.0.0.1:%d", child.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", child.FreePort(t))
	s.URL = "http://" + prometheus
	copied := func(name string, change ...string) string {
		_, here, _, _ := runtime.Caller(0)
		data, err := os.ReadFile(filepath.Join(filepath.Dir(here), "..", "..", "..", "deploy", "prometheus", name))
		require.NoError(t, err)
		text := string(data)
		for i := 0; i < len(change); i += 2 {
			pattern := regexp.MustCompile(change[i])
			require.Regexp(t, pattern, text)
			text = pattern.ReplaceAllString(text, change[i+1])
		}
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	copied("canton-backup.rules.yml", `(?m)^(        for): .*$`, "$1: 1s")
	config := copied("prometheus.yml", `_interval: 30s`, "_interval: 500ms", `127\.0\.0\.1:8234`, target, `127\.0\.0\.1:9093`, alertmanager,
		`scrape_configs:`, "scrape_configs:\n  - job_name: itself\n    static_configs:\n      - targets: [\""+prometheus+"\"]")
	routes := copied("alertmanager.yml", `group_wait: 30s`, "group_wait: 1s", `group_interval: 5m`, "group_interval: 1s", `http://127\.0\.0\.1:9099/alerts`, pages.URL)

	child.Start(t, exec.Command(child.Find(t, "prometheus-alertmanager", "make tools"), "--config.file="+routes, "--storage.path="+filepath.Join(dir, "alertmanager"),
		"--web.listen-address="+alertmanager, "--cluster.listen-address="))
	child.Start(t, exec.Command(child.Find(t, "prometheus", "make tools"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "prometheus"),
		"--web.listen-address="+prometheus))
	return s
}

// Told lists what Alertmanager told since Forget, in order: "firing CantonBackupOld", "resolved CantonBackupOld".
func (s *Server) Told() []string { return s.pager.told() }

// Forget empties Told.
func (s *Server) Forget() { s.pager.forget() }

// Settled waits until all rules were looked at that often again.
func (s *Server) Settled(rounds int) {
	s.t.Helper()
	begin := s.Ask(`min(prometheus_rule_group_iterations_total)`)
	require.Eventually(s.t, func() bool {
		return s.Ask(`min(prometheus_rule_group_iterations_total) > `+begin+` + `+strconv.Itoa(rounds)) != ""
	}, patience, 100*time.Millisecond)
}

// Ask is the value of an expression, empty without one.
func (s *Server) Ask(promql string) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL+"/api/v1/query", nil)
	require.NoError(s.t, err)
	r.URL.RawQuery = "query=" + strings.NewReplacer(" ", "%20", "+", "%2B").Replace(promql)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "" // it has not started yet
	}
	defer response.Body.Close()
	var answer struct {
		Data struct{ Result []struct{ Value []any } }
	}
	if response.StatusCode != http.StatusOK || json.NewDecoder(response.Body).Decode(&answer) != nil || len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}

// pager takes Alertmanager's messages.
type pager struct {
	mu       sync.Mutex
	messages []message
}

type message struct {
	Status string
	Alerts []struct {
		Status      string
		Labels      map[string]string
		Annotations map[string]string
	}
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m message
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = append(p.messages, m)
}

// told lists what was told since the test began, in order: "firing CantonBackupOld".
func (p *pager) told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, m := range p.messages {
		for _, a := range m.Alerts {
			all = append(all, m.Status+" "+a.Labels["alertname"])
		}
	}
	return all
}

func (p *pager) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = nil
}
