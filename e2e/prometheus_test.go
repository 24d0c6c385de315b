package e2e_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/testkit/prometheus"
)

// From outside: Prometheus tells of a worker that is stopped and of a schedule that is paused, which nobody on the host may be left to tell of,
// once each, and of their ends.
func TestPrometheus_WorkerAndSchedule(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	h.s3()
	w := h.startWorker()
	h.backup()
	p := prometheus.Start(t, h.settings["HEALTH_ADDRESS"])
	require.Eventually(t, func() bool { return p.Ask(`count(canton_backup_place_up == 1)`) == "2" }, patience, 200*time.Millisecond)
	p.Settled(3)
	require.Empty(t, p.Told(), "all is well")
	for _, fault := range []struct {
		name, alert string
		breakIt     func()
		mend        func()
	}{
		{"the worker is stopped", "CantonBackupWorkerDown", func() { w.stop() }, func() { w = h.startWorker() }},
		{"the schedule is paused", "CantonBackupSchedulePaused", func() { h.run("schedule", "pause") }, func() { h.run("schedule", "resume") }},
	} {
		p.Forget()
		fault.breakIt()
		require.Eventually(t, func() bool { return len(p.Told()) > 0 }, patience, 100*time.Millisecond, fault.name)
		p.Settled(3)
		require.Equal(t, []string{"firing " + fault.alert}, p.Told(), fault.name)
		fault.mend()
		require.Eventually(t, func() bool { return len(p.Told()) > 1 }, patience, 100*time.Millisecond, fault.name)
		p.Settled(3)
		require.Equal(t, []string{"firing " + fault.alert, "resolved " + fault.alert}, p.Told(), fault.name)
	}
	require.Empty(t, h.telegram.messages(), "the watchdog looks every quarter of an hour, and has not yet")
}
