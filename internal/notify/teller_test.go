package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"canton-backup/internal/notify"
)

// ear is a channel that keeps what it heard, or fails.
type ear struct {
	mu    sync.Mutex
	heard []notify.Alert
	fail  error
}

func (e *ear) Notify(_ context.Context, a notify.Alert) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail != nil {
		return e.fail
	}
	e.heard = append(e.heard, a)
	return nil
}

// desk is a teller with two channels, one that keeps a state per cause, and a clock of its own.
type desk struct {
	notify.Teller
	chat, pager ear
	now         time.Time
	occurrence  int
}

func newDesk(file string) *desk {
	d := &desk{now: time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)}
	d.Teller = notify.Teller{Ledger: notify.Ledger{File: file, Memory: &notify.Memory{}}, Repeat: 4 * time.Hour, Now: func() time.Time { return d.now },
		Channels: []notify.Channel{{Name: "chat", Notifier: &d.chat}, {Name: "pager", Notifier: &d.pager, Closes: true}}}
	return d
}

func (d *desk) occurs(t require.TestingT, key string) (notify.Report, error) {
	d.occurrence++
	return d.try(key)
}

func (d *desk) try(key string) (notify.Report, error) {
	a := notify.Alert{Node: "n", Key: key, Step: "Upload", Cause: "cause of " + key + "\nmore"}
	return d.Tell(context.Background(), a, fmt.Sprint(d.occurrence))
}

func file(t *testing.T) string { return filepath.Join(t.TempDir(), "logs", "alerts-n.json") }

func TestTeller_TellsAtOnceAndAgainWhileItLasts(t *testing.T) {
	d := newDesk(file(t))
	for i, row := range []struct {
		after time.Duration
		told  bool
	}{
		{0, true}, {time.Hour, false}, {2 * time.Hour, false},
		{50 * time.Minute, true}, // 3 h 50 min later: a run that begins a little early does not wait for the one after it
		{time.Hour, false}, {20 * time.Hour, true},
	} {
		d.now = d.now.Add(row.after)
		report, err := d.occurs(t, "Backup/Upload/AuthDenied")
		require.NoError(t, err)
		require.Equal(t, row.told, len(report.Told) == 2, "%d: %+v", i, report)
		require.Equal(t, row.told, report.Held == "", "%d: %+v", i, report)
	}
	require.Len(t, d.chat.heard, 3)
	require.Empty(t, d.chat.heard[0].Note)
	require.Equal(t, "still: since 2026-11-28 04:00:00 UTC, 4 times", d.chat.heard[1].Note)

	last := d.now
	d.now = d.now.Add(time.Minute)
	report, err := d.occurs(t, "Backup/Upload/Stalled")
	require.NoError(t, err)
	require.Len(t, report.Told, 2, "another cause does not wait")
	causes, err := d.Ledger.Causes()
	require.NoError(t, err)
	require.Len(t, causes, 2)
	require.Equal(t, "Backup/Upload/Stalled", causes[0].Key)
	require.Equal(t, notify.Told{Key: "Backup/Upload/AuthDenied", Headline: "Upload: cause of Backup/Upload/AuthDenied", Times: 6, Delivered: true,
		First: time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC), Last: last}, causes[1])
	info, err := os.Stat(d.Ledger.File)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

// One channel that fails keeps no other from being told, and another try reaches it alone.
func TestTeller_RetryReachesOnlyWhoGotNothing(t *testing.T) {
	d := newDesk(file(t))
	d.chat.fail = errors.New("no line")
	report, err := d.occurs(t, "k")
	require.ErrorContains(t, err, "chat: no line")
	require.NotErrorIs(t, err, notify.ErrRejected)
	require.Equal(t, []string{"pager"}, report.Told)
	causes, _ := d.Ledger.Causes()
	require.Equal(t, "chat: no line", causes[0].Undelivered)

	d.chat.fail = nil
	report, err = d.try("k")
	require.NoError(t, err)
	require.Equal(t, []string{"chat"}, report.Told)
	require.Len(t, d.pager.heard, 1)
	causes, _ = d.Ledger.Causes()
	require.Equal(t, 1, causes[0].Times, "another try of telling is no other occurrence")
	require.Empty(t, causes[0].Undelivered)

	d = newDesk(file(t))
	d.chat.fail, d.pager.fail = fmt.Errorf("%w: dead token", notify.ErrRejected), errors.New("no line")
	_, err = d.occurs(t, "k")
	require.NotErrorIs(t, err, notify.ErrRejected, "a dead token is no reason to give the pager up")
	d.pager.fail = nil
	_, err = d.try("k")
	require.ErrorIs(t, err, notify.ErrRejected, "now nothing is left that another try could mend")
	d.chat.fail = nil
	d.now = d.now.Add(time.Minute)
	report, err = d.occurs(t, "k")
	require.NoError(t, err)
	require.Equal(t, []string{"chat"}, report.Told, "a channel that never got it gets it at the next occurrence")
}

func TestTeller_Over(t *testing.T) {
	d := newDesk(file(t))
	over := func(still ...string) notify.Report {
		report, err := d.Over(t.Context(), "Backup/", still, notify.Alert{Node: "n", What: "Backup"})
		require.NoError(t, err)
		return report
	}
	require.Zero(t, over().Ended, "nothing was told, nothing is over")
	require.Empty(t, d.chat.heard)

	for _, key := range []string{"Backup/a", "Backup/b", "Backup/c", "Drill/a"} {
		_, err := d.occurs(t, key)
		require.NoError(t, err)
	}
	d.chat.heard, d.pager.heard = nil, nil
	require.Equal(t, 2, over("Backup/c").Ended)
	require.Empty(t, d.chat.heard, "nobody asked for it")
	require.Len(t, d.pager.heard, 2, "each incident is closed")
	require.Equal(t, "Backup/a", d.pager.heard[0].Key)
	require.True(t, d.pager.heard[0].Over)

	d.Recovery = true
	_, err := d.occurs(t, "Backup/a")
	require.NoError(t, err)
	require.Len(t, d.chat.heard, 1, "it is back, and told at once")
	require.Empty(t, d.chat.heard[0].Note, "and is no longer the one of before")
	d.now = d.now.Add(time.Hour)
	require.Equal(t, 2, over().Ended)
	require.Len(t, d.chat.heard, 2)
	said := d.chat.heard[1]
	require.Equal(t, "Backup works again: n ()", said.Headline())
	require.Equal(t, "over: Upload: cause of Backup/a — since 2026-11-28 04:00:00 UTC, 1 times\nover: Upload: cause of Backup/c — since 2026-11-28 04:00:00 UTC, 1 times", said.Cause)
	require.NotContains(t, said.Text(), "Last good set")
	over()
	require.Len(t, d.chat.heard, 2, "once")
	causes, err := d.Ledger.Causes()
	require.NoError(t, err)
	require.Len(t, causes, 1)
	require.Equal(t, "Drill/a", causes[0].Key)
}

// An end that cannot be told now is told later, once, and meanwhile the cause is not among those that last.
func TestTeller_OverIsTriedAgain(t *testing.T) {
	d := newDesk(file(t))
	d.Recovery = true
	_, err := d.occurs(t, "Backup/a")
	require.NoError(t, err)
	d.chat.fail = errors.New("no line")
	_, err = d.Over(t.Context(), "Backup/", nil, notify.Alert{What: "Backup"})
	require.ErrorContains(t, err, "chat: no line")
	causes, err := d.Ledger.Causes()
	require.NoError(t, err)
	require.Empty(t, causes)
	d.chat.fail = nil
	for range 2 {
		_, err = d.Over(t.Context(), "Backup/", nil, notify.Alert{What: "Backup"})
		require.NoError(t, err)
	}
	require.Len(t, d.chat.heard, 2)
	require.Len(t, d.pager.heard, 2)
}

// Whatever is wrong with the ledger, the alert goes out, and says so.
func TestTeller_BrokenLedger(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "half": `{"version":1,"causes":{"k":{"first":`, "newer": `{"version":9}`, "null": `null`, "no causes": `{"version":1,"causes":{"k":null}}`,
		"binary": "\x00\xff", "huge": strings.Repeat(" ", 2<<20)} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(file(t))
			require.NoError(t, os.MkdirAll(filepath.Dir(d.Ledger.File), 0o700))
			require.NoError(t, os.WriteFile(d.Ledger.File, []byte(text), 0o600))
			report, err := d.occurs(t, "k")
			require.NoError(t, err)
			require.Len(t, report.Told, 2)
			if name != "no causes" {
				require.Contains(t, report.Note, "what was told before is not known")
				require.Contains(t, d.chat.heard[0].Text(), "what was told before is not known")
			}
			report, err = d.occurs(t, "k")
			require.NoError(t, err)
			require.NotEmpty(t, report.Held, "begun anew, and remembered from then on")
		})
	}
	t.Run("it cannot be written", func(t *testing.T) {
		d := newDesk(filepath.Join(t.TempDir(), "file", "alerts.json"))
		require.NoError(t, os.WriteFile(filepath.Dir(d.Ledger.File), nil, 0o600)) // a file stands where the folder should be
		for i := range 3 {
			report, err := d.occurs(t, "k")
			require.NoError(t, err)
			require.Equal(t, i == 0, len(report.Told) == 2, "told, and remembered in memory")
			require.Contains(t, report.Note, "cannot be written down")
		}
		require.NoError(t, os.Remove(filepath.Dir(d.Ledger.File)))
		report, err := d.occurs(t, "k")
		require.NoError(t, err)
		require.Empty(t, report.Told, "the memory goes on in the file")
		causes, err := d.Ledger.Causes()
		require.NoError(t, err)
		require.Equal(t, 4, causes[0].Times)
	})
}

// Two processes tell the same cause at the same time: one of them does.
func TestTeller_ShareALedger(t *testing.T) {
	path := file(t)
	shared := newDesk(path)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			d := newDesk(path) // a process of its own: its own lock, its own memory
			d.Channels = shared.Channels
			d.occurrence = i
			_, err := d.try("k")
			require.NoError(t, err)
		})
	}
	group.Wait()
	require.Len(t, shared.chat.heard, 1)
	causes, err := shared.Ledger.Causes()
	require.NoError(t, err)
	require.Equal(t, 8, causes[0].Times)
}

// The laws of a cause that lasts or comes and goes, for any rhythm of occurrences, with a channel that fails now and then, a clock that is set back and a ledger that
// is damaged: the channel is told at least every Repeat and one interval, and never twice within it, but for those faults.
func TestTeller_NeverSilentNeverLoud(t *testing.T) {
	folder := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		d := newDesk(filepath.Join(folder, fmt.Sprint(n), "alerts.json"))
		d.Repeat = time.Duration(rapid.IntRange(15, 600).Draw(t, "repeat")) * time.Minute
		steps := rapid.SliceOfN(rapid.IntRange(1, 400), 1, 40).Draw(t, "minutes between")
		faults := rapid.SliceOfN(rapid.IntRange(0, 9), len(steps), len(steps)).Draw(t, "fault")
		flaps := rapid.Bool().Draw(t, "flaps") // then it is over between some of its occurrences
		early := min(15*time.Minute, d.Repeat/16)
		var last time.Time // told to chat, on the true clock
		trueNow := d.now
		known, behind := false, time.Duration(0)
		for i, minutes := range steps {
			step := time.Duration(minutes) * time.Minute
			trueNow, d.now = trueNow.Add(step), d.now.Add(step)
			d.chat.fail = nil
			setBack := false
			switch faults[i] {
			case 0:
				d.chat.fail = errors.New("no line")
			case 1:
				by := time.Duration(minutes) * time.Minute * 3
				behind += by
				d.now, setBack = d.now.Add(-by), true
			case 3, 4:
				if flaps {
					_, err := d.Over(context.Background(), "k", nil, notify.Alert{})
					require.NoError(t, err)
				}
			case 2:
				if err := os.WriteFile(d.Ledger.File, []byte("x"), 0o600); err == nil {
					setBack = true // all is forgotten
				}
			}
			before := len(d.chat.heard)
			d.occurrence++
			_, _ = d.Tell(context.Background(), notify.Alert{Key: "k", Flaps: flaps}, fmt.Sprint(d.occurrence)) // the error is the fault's
			told := len(d.chat.heard) > before
			since := trueNow.Sub(last)
			if told && known && !setBack && since < d.Repeat-early-behind {
				t.Fatalf("loud: told %s after the last time", since)
			}
			if !told && d.chat.fail == nil && (!known || since >= d.Repeat+behind+early) {
				t.Fatalf("silent: not told, %s after the last time", since)
			}
			if told {
				last, known, behind = trueNow, true, 0
			}
		}
	})
}

// What is written is what a program of another version, or a human, may read.
func TestLedger_File(t *testing.T) {
	d := newDesk(file(t))
	d.chat.fail = errors.New("no line")
	_, err := d.occurs(t, "Backup/Upload/AuthDenied")
	require.Error(t, err)
	data, err := os.ReadFile(d.Ledger.File)
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(data, &m))
	require.Equal(t, map[string]any{"version": 1.0, "causes": map[string]any{"Backup/Upload/AuthDenied": map[string]any{
		"headline": "Upload: cause of Backup/Upload/AuthDenied", "first": "2026-11-28T04:00:00Z", "last": "2026-11-28T04:00:00Z", "times": 1.0, "occurrence": "1",
		"told": map[string]any{"pager": "2026-11-28T04:00:00Z"}, "undelivered": map[string]any{"chat": "no line"},
	}}}, m)
}

// A ledger does not grow for ever.
func TestLedger_Forgets(t *testing.T) {
	d := newDesk(file(t))
	for i := range 230 {
		d.now = d.now.Add(time.Minute)
		_, err := d.occurs(t, fmt.Sprintf("k%03d", i))
		require.NoError(t, err)
	}
	causes, err := d.Ledger.Causes()
	require.NoError(t, err)
	require.LessOrEqual(t, len(causes), 201)
	require.Equal(t, "k229", causes[0].Key)
	d.now = d.now.Add(90 * 24 * time.Hour)
	_, err = d.occurs(t, "new")
	require.NoError(t, err)
	causes, err = d.Ledger.Causes()
	require.NoError(t, err)
	require.Len(t, causes, 1)
}
