package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/testkit/browser"
)

// get asks the host's worker for a page.
func (h *host) get(path string) (int, string) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.settings["HEALTH_ADDRESS"]+path, nil)
	require.NoError(h.t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(h.t, err)
	return response.StatusCode, string(body)
}

// until waits until the page answers so.
func (h *host) until(path string, code int, words string) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		got, body := h.get(path)
		return got == code && strings.Contains(body, words)
	}, patience, 200*time.Millisecond, "%s says %d and %q", path, code, words)
}

// The worker's page tells the truth: before the first set, after it, while a backup runs, and when the schedule is paused.
func TestPage(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	h.s3()
	h.startWorker()
	h.until("/healthz", http.StatusServiceUnavailable, "FAILED no-verified-set")
	h.until("/", http.StatusOK, "No")
	set := h.backup()
	h.until("/healthz", http.StatusOK, "OK")
	h.until("/", http.StatusOK, string(set))
	h.until("/metrics", http.StatusOK, `canton_backup_last_verified_timestamp_seconds{network="testnet",node="`+h.settings["NODE_NAME"]+`",place="r2"} `)
	h.until("/metrics", http.StatusOK, "temporal_request_total")
	_, report := h.get("/report.json")
	require.NotContains(t, report, "canary")
	require.Equal(t, 0, h.run("schedule", "pause").code)
	h.until("/healthz", http.StatusServiceUnavailable, "FAILED schedule-paused")
	require.Equal(t, 0, h.run("schedule", "resume").code)
	h.until("/healthz", http.StatusOK, "OK")
}

// Another program has the page's address: backups are made all the same, and the page is there as soon as it is free.
func TestPage_AddressTaken(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	other := newTelegram(t) // any server
	h.set("HEALTH_ADDRESS", strings.TrimPrefix(other.URL, "http://"))
	w := h.startWorker()
	h.backup()
	require.Contains(t, w.log.String(), "port is taken")
	other.Close()
	h.until("/healthz", http.StatusOK, "OK")
}

// The pictures of the manual, and the way of an operator: from a set's row on the page to its run in the Temporal UI.
func TestPage_Pictures(t *testing.T) {
	h := newHost(t, sharedNode)
	h.set("NODE_NAME", "validator-1", "NETWORK", "mainnet")
	h.s3()
	h.rsync()
	h.startWorker()
	for range 3 {
		h.backup()
	}
	require.Equal(t, 0, h.run("drill").code)
	set := h.backup()
	h.until("/", http.StatusOK, string(set))
	h.until("/healthz", http.StatusOK, "OK")
	own := "http://" + h.settings["HEALTH_ADDRESS"]
	b := browser.Start(t)
	page := b.Visit(t, own, browser.Desk)
	require.Empty(t, page.Elsewhere(own), "nothing is asked of anybody else")
	page.Screenshot("status")
	b.Visit(t, own, browser.Look{Width: 1280, Height: 900, Dark: true}).Screenshot("status-dark")
	b.Visit(t, own, browser.Phone).Screenshot("status-phone")

	// The Temporal UI needs its scripts, and loads in its own time.
	run := `[...document.querySelectorAll("tr")].filter(row => row.textContent.includes("` + string(set) + `")).map(row => row.querySelector("a[href*='node%2F']")).find(Boolean)`
	page.Until(run)
	page.Click(run)
	page.Until(`document.body.innerText.includes("node/validator-1") && document.body.innerText.includes("` + string(set) + `") && document.body.innerText.includes("Timeline")`)
	page.Screenshot("run")
	metadata := `[...document.querySelectorAll("a")].find(a => a.textContent.includes("User Metadata"))`
	page.Until(metadata)
	page.Click(metadata)
	page.Until(`document.body.innerText.includes("for freshness") && !document.body.innerText.includes("No summary available")`) // it is in a frame
	page.Screenshot("run-details")
}
