package notify_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/notify"
)

// A cause that comes and goes is told once while Repeat lasts, and its end too; one that does not is news whenever it is back.
func TestTeller_Flaps(t *testing.T) {
	d := newDesk(file(t))
	d.Recovery = true
	occurs := func(flaps bool) notify.Report {
		d.now = d.now.Add(15 * time.Minute)
		d.occurrence++
		report, err := d.Tell(t.Context(), notify.Alert{Key: "Watch/k", Cause: "x", Flaps: flaps}, fmt.Sprint(d.occurrence))
		require.NoError(t, err)
		return report
	}
	over := func() notify.Report {
		d.now = d.now.Add(15 * time.Minute)
		report, err := d.Over(t.Context(), "Watch/", nil, notify.Alert{})
		require.NoError(t, err)
		return report
	}
	require.Len(t, occurs(true).Told, 2)
	require.Len(t, over().Told, 2)
	for range 6 {
		report := occurs(true)
		require.Empty(t, report.Told)
		require.Contains(t, report.Held, "ago, it was over meanwhile, again after 4h0m0s")
		require.True(t, report.Reached)
		causes, err := d.Ledger.Causes()
		require.NoError(t, err)
		require.Len(t, causes, 1, "it lasts, as the status page shows")
		require.True(t, causes[0].Delivered)
		require.Empty(t, over().Told, "nobody heard that it was back")
	}
	require.Len(t, d.chat.heard, 2)
	require.Empty(t, occurs(true).Told)
	require.Len(t, occurs(true).Told, 2)
	require.Equal(t, "it comes and goes: since 2026-11-28 04:15:00 UTC, 9 times", d.chat.heard[2].Note)
	require.Len(t, over().Told, 2)

	d.now = d.now.Add(5 * time.Hour)
	require.Len(t, occurs(true).Told, 2)
	require.Empty(t, d.chat.heard[4].Note, "long forgotten")
	require.Len(t, over().Told, 2)
	d.now = d.now.Add(5 * time.Hour)
	over()
	data, err := os.ReadFile(d.Ledger.File)
	require.NoError(t, err)
	require.NotContains(t, string(data), "Watch/k", "what ended long ago is not kept")

	for range 3 {
		require.Len(t, occurs(false).Told, 2)
		require.Len(t, over().Told, 2)
	}
}

// An incident that could not be closed stays to be closed, also when its cause is back meanwhile.
func TestTeller_FlapsWhileThePagerIsDead(t *testing.T) {
	d := newDesk(file(t))
	tell := func() {
		d.occurrence++
		_, err := d.Tell(t.Context(), notify.Alert{Key: "k", Flaps: true}, fmt.Sprint(d.occurrence))
		require.NoError(t, err)
	}
	tell()
	d.pager.fail = errors.New("no line")
	_, err := d.Over(t.Context(), "k", nil, notify.Alert{})
	require.Error(t, err)
	d.pager.fail = nil
	tell()
	require.Len(t, d.pager.heard, 1)
	for range 2 {
		_, err = d.Over(t.Context(), "k", nil, notify.Alert{})
		require.NoError(t, err)
		require.Len(t, d.pager.heard, 2)
	}
	require.True(t, d.pager.heard[1].Over)
}
