package notify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/notify"
)

// gate is a channel that waits until it may go on.
type gate struct {
	begun chan string // each message's key
	open  chan struct{}
}

func newGate() *gate { return &gate{begun: make(chan string, 16), open: make(chan struct{})} }

func (g *gate) Notify(ctx context.Context, a notify.Alert) error {
	g.begun <- a.Key
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// While a cause is told, the same is not told by another, and all else goes on.
func TestTeller_SendsWithoutALock(t *testing.T) {
	path := file(t)
	d, g := newDesk(path), newGate()
	d.Channels = []notify.Channel{{Name: "slow", Notifier: g}}
	tell := func(d *desk, key, occurrence string) notify.Report {
		report, err := d.Tell(t.Context(), notify.Alert{Key: key}, occurrence)
		require.NoError(t, err)
		return report
	}
	first := make(chan notify.Report, 1)
	go func() { first <- tell(d, "k", "1") }()
	require.Equal(t, "k", <-g.begun)
	other := newDesk(path) // another process
	other.Channels = d.Channels
	for _, desk := range []*desk{d, other} {
		require.Equal(t, "it is being told right now", tell(desk, "k", "2").Held)
	}
	causes, err := d.Ledger.Causes()
	require.NoError(t, err)
	require.Equal(t, "k", causes[0].Key)
	require.False(t, causes[0].Delivered)
	_, err = d.Over(t.Context(), "k", nil, notify.Alert{})
	require.NoError(t, err)

	another := make(chan notify.Report, 1)
	go func() { another <- tell(d, "another", "3") }()
	require.Equal(t, "another", <-g.begun, "another cause does not wait")
	close(g.open)
	require.Len(t, (<-first).Told, 1)
	require.Len(t, (<-another).Told, 1)
	d.Recovery = true
	report, err := d.Over(t.Context(), "k", nil, notify.Alert{})
	require.NoError(t, err)
	require.Len(t, report.Told, 1, "it was over before it was told: both are heard of")
}

// A process that dies while it tells holds the next one back for a moment, and its own next try not at all.
func TestTeller_DiesWhileItTells(t *testing.T) {
	path := file(t)
	dead, g := newDesk(path), newGate()
	dead.Channels = []notify.Channel{{Name: "chat", Notifier: g}}
	ctx, cancel := context.WithCancel(t.Context())
	var dying sync.WaitGroup
	t.Cleanup(func() { cancel(); dying.Wait() })
	dying.Go(func() { _, _ = dead.Tell(ctx, notify.Alert{Key: "k"}, "1") }) // it ends with the test
	<-g.begun

	d := newDesk(path)
	d.Channels = d.Channels[:1]
	report, err := d.Tell(t.Context(), notify.Alert{Key: "k"}, "2")
	require.NoError(t, err)
	require.NotEmpty(t, report.Held)
	require.False(t, report.Reached)
	report, err = d.Tell(t.Context(), notify.Alert{Key: "k"}, "1")
	require.NoError(t, err)
	require.Len(t, report.Told, 1, "another try of the same")

	d.now = d.now.Add(5 * time.Hour)
	dead.now = d.now
	dying.Go(func() { _, _ = dead.Tell(ctx, notify.Alert{Key: "k"}, "3") }) // as above
	<-g.begun
	d.now = d.now.Add(time.Minute)
	report, err = d.Tell(t.Context(), notify.Alert{Key: "k"}, "4")
	require.NoError(t, err)
	require.Len(t, report.Told, 1, "after a minute nobody waits for the dead")
}

// A disk that hangs costs its time limit once, and no alert. What was told is known all the same, and written down when the disk is back.
func TestTeller_DiskHangs(t *testing.T) {
	t.Parallel()
	d := newDesk(file(t))
	_, err := d.occurs(t, "before")
	require.NoError(t, err)
	require.NoError(t, os.Remove(d.Ledger.File))
	require.NoError(t, syscall.Mkfifo(d.Ledger.File, 0o600)) // opening a pipe that nobody writes to never returns

	report, err := d.occurs(t, "k")
	require.NoError(t, err)
	require.Len(t, report.Told, 2)
	require.Contains(t, report.Note, "the ledger's disk does not answer")
	require.Contains(t, d.chat.heard[1].Note, "the ledger's disk does not answer")
	began := time.Now()
	for range 3 {
		report, err = d.occurs(t, "k")
		require.NoError(t, err)
		require.NotEmpty(t, report.Held)
		report, err = d.occurs(t, "before")
		require.NoError(t, err)
		require.NotEmpty(t, report.Held, "as it was known last")
	}
	causes, err := d.Ledger.Causes()
	require.NoError(t, err)
	require.Len(t, causes, 2)
	require.Error(t, d.Ledger.Mark().Set(d.now))
	require.Zero(t, d.Ledger.Mark().At())
	require.Less(t, time.Since(began), 7*time.Second, "nobody waits for a disk that is known to hang, and one call is left behind")

	revive, err := os.OpenFile(d.Ledger.File, os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, os.Remove(d.Ledger.File))
	require.NoError(t, revive.Close())
	require.Eventually(t, func() bool {
		report, err := d.occurs(t, "k")
		require.NoError(t, err)
		require.NotEmpty(t, report.Held)
		return report.Note == ""
	}, time.Minute, 10*time.Millisecond)
	d.Ledger.Memory = &notify.Memory{} // another process
	report, err = d.occurs(t, "k")
	require.NoError(t, err)
	require.NotEmpty(t, report.Held, "it was written down")
}

// A memory that a full disk kept from being written lays over what others wrote meanwhile, and does not replace it.
func TestTeller_MemoryKeepsWhatOthersWrote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs", "alerts.json")
	d, other := newDesk(path), newDesk(path)
	require.NoError(t, os.WriteFile(filepath.Dir(path), nil, 0o600))
	_, err := d.occurs(t, "mine")
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Dir(path)))
	_, err = other.occurs(t, "theirs")
	require.NoError(t, err)
	report, err := d.occurs(t, "mine")
	require.NoError(t, err)
	require.NotEmpty(t, report.Held)
	report, err = d.occurs(t, "theirs")
	require.NoError(t, err)
	require.NotEmpty(t, report.Held)
}

// The mark keeps its time where nothing can be written to the ledger, and belongs to nobody else.
func TestMark(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	at := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	l := notify.Ledger{File: file(t)}
	require.Zero(t, l.Mark().At())
	require.NoError(t, l.Mark().Prepare())
	require.LessOrEqual(t, l.Mark().At().Unix(), int64(0), "a new one says that nothing was told")
	require.NoError(t, l.Mark().Set(at))
	require.NoError(t, l.Mark().Prepare())
	require.True(t, l.Mark().At().Equal(at))
	info, err := os.Stat(l.File + ".mark")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Zero(t, info.Size())
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	require.Empty(t, left, "the folder of temporary files is the last resort")

	unmakeable := notify.Ledger{File: filepath.Join(t.TempDir(), "file", "alerts-n.json")}
	require.NoError(t, os.WriteFile(filepath.Dir(unmakeable.File), nil, 0o600)) // a file stands where the folder should be
	require.NoError(t, unmakeable.Mark().Set(at))
	require.True(t, unmakeable.Mark().At().Equal(at))
	left, err = os.ReadDir(tmp)
	require.NoError(t, err)
	require.Len(t, left, 1)
	spare := filepath.Join(tmp, left[0].Name())
	require.Contains(t, spare, "alerts-n.json")
	require.NoError(t, os.Remove(spare))

	victim := filepath.Join(tmp, "victim")
	require.NoError(t, os.WriteFile(victim, nil, 0o600))
	before, err := os.Stat(victim)
	require.NoError(t, err)
	require.NoError(t, os.Symlink(victim, spare))
	require.Error(t, unmakeable.Mark().Set(at))
	require.Zero(t, unmakeable.Mark().At())
	after, err := os.Stat(victim)
	require.NoError(t, err)
	require.Equal(t, before.ModTime(), after.ModTime(), "a link that another laid is not followed")
}

// A receiver that hangs has not heard of the end, and without any channel nothing is delivered.
func TestTeller_NobodyHeard(t *testing.T) {
	d := newDesk(file(t))
	d.Recovery = true
	_, err := d.occurs(t, "k")
	require.NoError(t, err)
	d.chat.fail = fmt.Errorf("send alert: %w", &notify.HangError{})
	_, err = d.Over(t.Context(), "k", nil, notify.Alert{})
	var undelivered *notify.Undelivered
	require.ErrorAs(t, err, &undelivered)
	require.True(t, undelivered.Hang())
	d.chat.fail = nil
	_, err = d.Over(t.Context(), "k", nil, notify.Alert{})
	require.NoError(t, err)
	require.Len(t, d.chat.heard, 2)
	require.False(t, (&notify.Undelivered{Errors: map[string]error{"a": &notify.HangError{}, "b": errors.New("no line")}}).Hang())

	d.Channels = nil
	_, err = d.occurs(t, "unheard")
	require.NoError(t, err)
	causes, err := d.Ledger.Causes()
	require.NoError(t, err)
	require.Len(t, causes, 1)
	require.False(t, causes[0].Delivered)
}
