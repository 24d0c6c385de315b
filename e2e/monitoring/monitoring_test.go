// Package monitoring_test runs Debian's Prometheus and Alertmanager against a worker's panel, with the rules and the configuration of
// the folder deploy.
package monitoring_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
	"canton-backup/internal/metrics"
	"canton-backup/internal/panel"
	"canton-backup/internal/testkit/child"
	"canton-backup/internal/testkit/prometheus"
	"canton-backup/internal/testkit/reports"
)

// patience is for a machine that does ten other things. Where all is well an alert takes a few seconds.
const patience = 4 * time.Minute

// node is a worker's panel whose report the test writes.
type node struct {
	mu     sync.Mutex
	change func(*health.Report)
}

func (n *node) report(context.Context) health.Report {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := reports.GoodAt(time.Now())
	if n.change != nil {
		n.change(&r)
		r = health.Judge(r)
	}
	return r
}

func (n *node) set(change func(*health.Report)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.change = change
}

// late makes a report's newest verified set too old.
func late(r *health.Report) {
	r.Sets = r.Sets[2:]
	good := r.Sets[0].Set
	r.LastGood.Set, r.LastGood.OffHost = good, good
	r.LastGood.AgeS = int64(r.At.Sub(good.Time()).Seconds())
	r.LastGood.OffHostAgeS = r.LastGood.AgeS
	for i := range r.Places {
		r.Places[i].LastGood = good
	}
}

// serve starts the node's panel.
func (n *node) serve(t *testing.T, address string) *panel.Server {
	t.Helper()
	s, err := panel.Serve(panel.Options{Report: n.report, Address: address, Metrics: metrics.Handler(metrics.NewRegistry(n.report))})
	require.NoError(t, err)
	return s
}

// Each fault raises exactly one message, and is told to be over when it is mended.
func TestMonitoring_OneMessageForEachFault(t *testing.T) {
	n := &node{}
	address := fmt.Sprintf("127.0.0.1:%d", child.FreePort(t))
	worker := n.serve(t, address)
	t.Cleanup(func() { require.NoError(t, worker.Close()) })
	p := prometheus.Start(t, address)

	// All rules have been looked at with a worker that is well, and are silent.
	require.Eventually(t, func() bool { return p.Ask(`count(canton_backup_info)`) == "1" }, patience, 100*time.Millisecond)
	require.Eventually(t, func() bool { return p.Ask(`min(prometheus_rule_group_iterations_total) > 3`) != "" }, patience, 100*time.Millisecond)
	require.Empty(t, p.Told())

	for _, fault := range []struct {
		name   string
		change func(*health.Report) // nil: the worker is taken away
		alert  string
	}{
		{"no set for 6 h", late, "CantonBackupOld"},
		{"no set for 6 h, for the schedule is paused", func(r *health.Report) { late(r); r.Schedule.Paused = true }, "CantonBackupSchedulePaused"},
		{"sets stay on the host", func(r *health.Report) {
			for i := range r.Places[1:] {
				r.Places[i+1].LastGood = r.Sets[2].Set
			}
			r.LastGood.OffHost, r.LastGood.OffHostAgeS = r.Sets[2].Set, 8*3600
		}, "CantonBackupOffHostOld"},
		{"a target is down", func(r *health.Report) { r.Places[1].Error, r.Places[1].LastGood = "connection refused", "" }, "CantonBackupPlaceDown"},
		{"a set is damaged", func(r *health.Report) { r.Places[2].Faults = []string{"a file is missing"} }, "CantonBackupSetDamaged"},
		{"a drill fails", func(r *health.Report) { r.Drill.Verdict = backupset.Fail }, "CantonBackupDrillFailed"},
		{"the disk is full", func(r *health.Report) { r.Disk.Free = 9 << 30 }, "CantonBackupDiskFull"},
		{"the participant is cut off", func(r *health.Report) {
			old := r.At.AddDate(0, 0, -8)
			r.Sets[0].RecordTime = &old
		}, "CantonBackupRecordTimeOld"},
		{"the pair is not proven", func(r *health.Report) { r.Sets[0].Checks[1].Verdict = backupset.Unknown }, "CantonBackupPairUnproven"},
		{"a key expires", func(r *health.Report) { soon := r.At.AddDate(0, 0, 3); r.Keys[0].Expires = &soon }, "CantonBackupKeyExpires"},
		{"an alert is not delivered", func(r *health.Report) {
			r.Alerts = []health.Told{{Key: "Backup", Undelivered: "telegram: 502"}}
		}, "CantonBackupAlertUndelivered"},
		{"Temporal is gone", func(r *health.Report) { r.Worker, r.Schedule = "nothing listens", nil }, "CantonBackupTemporalUnreachable"},
		{"nobody looks", func(r *health.Report) { r.At = r.At.Add(-time.Hour) }, "CantonBackupReportOld"},
		{"no look comes to an end", func(r *health.Report) { r.At = time.Time{} }, "CantonBackupNoReport"},
		{"the worker is dead", nil, "CantonBackupWorkerDown"},
	} {
		t.Run(fault.name, func(t *testing.T) {
			p.Forget()
			if fault.change != nil {
				n.set(fault.change)
			} else {
				require.NoError(t, worker.Close())
			}
			firing, over := "firing "+fault.alert, "resolved "+fault.alert
			require.Eventually(t, func() bool { return len(p.Told()) > 0 }, patience, 50*time.Millisecond, "the fault is told")
			p.Settled(3)
			require.Equal(t, []string{firing}, p.Told())
			n.set(nil)
			if fault.change == nil {
				worker = n.serve(t, address)
			}
			require.Eventually(t, func() bool { return len(p.Told()) > 1 }, patience, 50*time.Millisecond, "its end is told")
			p.Settled(1)
			require.Equal(t, []string{firing, over}, p.Told())
		})
	}
}

// held are the alerts of a name that Alertmanager knows and keeps quiet about, and its groups: the messages that it sends for that name.
func held(t *testing.T, p *prometheus.Server, alert string) (held, groups int) {
	t.Helper()
	var found struct {
		Data struct {
			ActiveAlertmanagers []struct{ URL string }
		}
	}
	get(t, p.URL+"/api/v1/alertmanagers", &found)
	require.Len(t, found.Data.ActiveAlertmanagers, 1)
	var all []struct {
		Alerts []struct {
			Labels map[string]string
			Status struct{ InhibitedBy []string }
		}
	}
	get(t, strings.TrimSuffix(found.Data.ActiveAlertmanagers[0].URL, "alerts")+"alerts/groups", &all)
	for _, group := range all {
		if group.Alerts[0].Labels["alertname"] == alert {
			groups++
		}
		for _, a := range group.Alerts {
			if a.Labels["alertname"] == alert && len(a.Status.InhibitedBy) > 0 {
				held++
			}
		}
	}
	return held, groups
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	require.NoError(t, json.NewDecoder(response.Body).Decode(into))
}

// Two hosts are lost at once, one of them with a set that was too old already: a message for each host, and what stood is held back.
func TestMonitoring_HostsAreLostWhileASetIsOld(t *testing.T) {
	one, two := &node{change: late}, &node{change: func(r *health.Report) { r.Node = "validator-2" }}
	addresses := []string{fmt.Sprintf("127.0.0.1:%d", child.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", child.FreePort(t))}
	first, second := one.serve(t, addresses[0]), two.serve(t, addresses[1])
	p := prometheus.Start(t, strings.Join(addresses, `", "`))
	require.Eventually(t, func() bool { return len(p.Told()) > 0 && p.Ask(`count(canton_backup_info)`) == "2" }, patience, 100*time.Millisecond)
	require.Equal(t, []string{"firing CantonBackupOld"}, p.Told())
	held0, _ := held(t, p, "CantonBackupOld")
	require.Zero(t, held0)

	p.Forget()
	require.NoError(t, first.Close())
	require.NoError(t, second.Close())
	require.Eventually(t, func() bool {
		old, _ := held(t, p, "CantonBackupOld")
		_, down := held(t, p, "CantonBackupWorkerDown")
		return old == 1 && down == 2 && len(p.Told()) > 1
	}, patience, 100*time.Millisecond, "a message for each host, and none for what follows")
	p.Settled(3)
	require.Equal(t, []string{"firing CantonBackupWorkerDown", "firing CantonBackupWorkerDown"}, p.Told())
	require.Equal(t, "1", p.Ask(`count(ALERTS{alertname="CantonBackupOld",alertstate="firing"})`), "it stands all the same")
}
