package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/health"
	"canton-backup/internal/store"
)

// shelf stands for a store that holds sets: it can hang, fail, and count who lists it.
type shelf struct {
	store.Store // nil: what is not below is never called
	name        string
	mu          sync.Mutex
	sets        []backupset.ID
	err         error
	hang        chan struct{} // until it is closed
	lists       atomic.Int32
}

func (s *shelf) Location() string { return s.name + "://somewhere" }

func (s *shelf) set(err error, sets ...backupset.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.sets = err, sets
}

func (s *shelf) List(context.Context) ([]store.Object, error) {
	s.lists.Add(1)
	s.mu.Lock()
	hang, sets, err := s.hang, s.sets, s.err
	s.mu.Unlock()
	if hang != nil {
		<-hang // whatever the context says: so does a dead disk
	}
	var objects []store.Object
	for _, id := range sets {
		objects = append(objects, store.Object{Name: backupset.ManifestName(id), Size: 1})
		for _, c := range manifestOf(id).Components {
			objects = append(objects, store.Object{Name: c.File, Size: c.Size})
		}
	}
	return objects, err
}

func (s *shelf) Open(_ context.Context, name string, _ int64) (io.ReadCloser, error) {
	id, ok := backupset.ParseManifestName(name)
	if !ok {
		return nil, store.ErrNotFound
	}
	data, err := manifestOf(id).Encode()
	return io.NopCloser(strings.NewReader(string(data))), err
}

func manifestOf(id backupset.ID) backupset.Manifest {
	m := backupset.Manifest{Format: 1, Set: id, Node: "node-1", Network: "testnet", SealedAt: id.Time().Add(time.Minute), Verdict: backupset.Pass}
	offset, end, record := int64(100), int64(107), id.Time().Add(-time.Second)
	for role, db := range map[backupset.Role]string{backupset.Validator: "validator", backupset.Participant: "participant"} {
		c := backupset.Component{Role: role, Database: db, Codec: backupset.Gzip, File: backupset.DumpName(db, id, backupset.Gzip, backupset.Unencrypted), Size: 10,
			SHA256: strings.Repeat("a", 64), DatabaseSize: 1000, StartedAt: id.Time(), CompletedAt: id.Time().Add(5 * time.Second)}
		if role == backupset.Validator {
			c.ValidatorEvidence = &backupset.ValidatorEvidence{MaxOffset: &offset}
		} else {
			c.ParticipantEvidence = &backupset.ParticipantEvidence{LedgerEnd: &end, RecordTime: &record, NodeIDs: []string{"PAR::a::1220"}}
		}
		m.Components = append(m.Components, c)
	}
	return m
}

// watched is an observer of a node with a local store and one target, and a clock of its own.
type watched struct {
	*health.Observer
	local, target *shelf
	clock         atomic.Int64 // nanoseconds after now
	t             *testing.T
	running       atomic.Bool
	broken        atomic.Bool  // its settings
	mute          atomic.Bool  // Temporal does not answer
	asked         atomic.Int32 // of Temporal
}

func (w *watched) report() health.Report {
	w.t.Helper()
	r, err := w.Report(w.t.Context())
	require.NoError(w.t, err)
	return r
}

func (w *watched) advance(d time.Duration) { w.clock.Add(int64(d)) }

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{t: t, local: &shelf{name: "local"}, target: &shelf{name: "rsync"}}
	settings := config.Settings{Node: config.Node{Name: "node-1", Network: "testnet"}, Targets: []config.Kind{config.Rsync}, Every: 4 * time.Hour, Identities: config.Identities{Off: true}}
	w.Observer = health.NewObserver(health.Sources{
		Program: "test", Now: func() time.Time { return now.Add(time.Duration(w.clock.Load())) },
		Settings: func() (config.Settings, error) {
			if w.broken.Load() {
				return config.Settings{Node: settings.Node}, errors.New("KEEP_LAST=0")
			}
			return settings, nil
		},
		Stores: func(config.Settings) ([]health.Store, []error) {
			return []health.Store{{Name: health.Local, Store: w.local}, {Name: "rsync", Store: w.target}}, []error{nil, nil}
		},
		Disk: func(context.Context, config.Settings, catalog.Listing) *health.Disk { return nil },
		Keys: func(config.Settings) ([]health.Key, error) { return nil, nil },
		Temporal: func(context.Context, config.Settings) health.Temporal {
			w.asked.Add(1)
			for w.mute.Load() {
				time.Sleep(time.Millisecond)
			}
			t := health.Temporal{Worker: health.Running}
			if w.running.Load() {
				t.Running = &health.Run{Type: "BackupNode", Started: now}
			}
			return t
		},
		Alerts: func(config.Settings) ([]health.Told, bool) { return nil, false },
	})
	return w
}

func TestObserver_Report(t *testing.T) {
	w := newWatched(t)
	older, newer := id(5*time.Hour), id(time.Hour)
	w.local.set(nil, older, newer)
	w.target.set(nil, older)
	r := w.Fresh(t.Context())
	require.Equal(t, newer, r.LastGood.Set)
	require.Equal(t, []string{"local"}, r.LastGood.Places)
	require.Equal(t, older, r.LastGood.OffHost)
	require.Len(t, r.Sets, 2)
	require.Equal(t, []string{"local", "rsync"}, r.Sets[1].Places)
	require.EqualValues(t, 7, *r.Sets[0].Margin)
	require.InDelta(t, 60, r.Sets[0].DurationS, 0.1)
	require.Equal(t, health.DumpSeconds{Validator: 5, Participant: 5}, r.Sets[0].DumpS)
	require.EqualValues(t, 20, r.Sets[0].Bytes)
	require.Equal(t, "none", r.Sets[0].Encryption)
	require.Equal(t, newer.Time().Add(-time.Second), r.RecordTime().UTC())
	require.Empty(t, r.Problems)
}

// Listing a target costs money and a login: many askers list it once, and again when a set was made, or after a while.
func TestObserver_SparesTargets(t *testing.T) {
	w := newWatched(t)
	w.local.set(nil, id(5*time.Hour))
	w.target.set(nil, id(5*time.Hour))
	lists := func(n int32, why string) {
		t.Helper()
		w.report()
		require.Eventually(t, func() bool { return w.target.lists.Load() >= n }, 30*time.Second, time.Millisecond, why)
		w.report()
		require.Equal(t, n, w.target.lists.Load(), why)
	}
	lists(1, "never seen")
	w.advance(10 * time.Minute)
	lists(1, "seen ten minutes ago")
	w.running.Store(true)
	w.local.set(nil, id(5*time.Hour), id(time.Hour))
	w.advance(time.Minute)
	lists(1, "the new set is on its way")
	w.running.Store(false)
	w.advance(time.Minute)
	lists(2, "a set was made")
	w.advance(10 * time.Second)
	lists(2, "and is known")
	w.advance(20 * time.Minute)
	lists(3, "a while ago")
}

func TestObserver_OneReportForAll(t *testing.T) {
	w := newWatched(t)
	w.local.set(nil, id(time.Hour))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _, _ = w.Report(t.Context()) })
	}
	all.Wait()
	require.LessOrEqual(t, w.asked.Load(), int32(5), "a target's answer may make the report anew")
}

// Whoever hangs up must not leave his broken report to the next.
func TestObserver_AskerHangsUp(t *testing.T) {
	w := newWatched(t)
	w.local.set(nil, id(time.Hour))
	w.target.set(nil, id(time.Hour))
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	for range 3 {
		_, err := w.Report(gone)
		require.ErrorIs(t, err, context.Canceled)
		w.advance(time.Minute)
	}
	r := w.report()
	require.NotNil(t, r.LastGood)
	require.Empty(t, r.Places[0].Error)
}

// A dead disk hangs whoever reads it, for ever. The report says so, and the next one is not the worse for it.
func TestObserver_HungDisk(t *testing.T) {
	w := newWatched(t)
	w.local.set(nil, id(time.Hour))
	w.target.set(nil, id(time.Hour))
	w.Fresh(t.Context())
	hang := make(chan struct{})
	w.local.mu.Lock()
	w.local.hang = hang
	w.local.mu.Unlock()
	require.EqualValues(t, 1, w.local.lists.Load(), "a look lists this host once")
	before := w.local.lists.Load()
	for range 2 {
		w.advance(time.Minute)
		r := w.report()
		require.Contains(t, r.Places[0].Error, "does not answer")
		require.Equal(t, id(time.Hour), r.LastGood.Set, "the target still has it")
	}
	require.Equal(t, before+1, w.local.lists.Load(), "one call is left behind, not one for each asker")
	close(hang)
	w.local.mu.Lock()
	w.local.hang = nil
	w.local.mu.Unlock()
	w.advance(time.Minute)
	require.Eventually(t, func() bool {
		w.advance(time.Minute)
		return w.report().Places[0].Error == ""
	}, 30*time.Second, 10*time.Millisecond)
}

func TestObserver_TargetFails(t *testing.T) {
	w := newWatched(t)
	w.local.set(nil, id(time.Hour))
	w.target.set(nil, id(time.Hour))
	require.Empty(t, w.Fresh(t.Context()).Problems)
	w.target.set(fmt.Errorf("list: %w", errors.New("permission denied")))
	r := w.Fresh(t.Context())
	require.Equal(t, "place-unreadable/rsync", r.Problems[0].Key())
	w.target.set(nil, id(time.Hour))
	require.Empty(t, w.Fresh(t.Context()).Problems)
}

// Broken settings are told as what they are; of targets and sets nothing is known then.
func TestObserver_BrokenSettings(t *testing.T) {
	w := newWatched(t)
	w.local.set(nil, id(time.Hour))
	w.target.set(nil, id(time.Hour))
	require.Empty(t, w.Fresh(t.Context()).Problems)
	w.broken.Store(true)
	r := w.Fresh(t.Context())
	require.Len(t, r.Problems, 1)
	require.Equal(t, "settings-invalid", r.Problems[0].Key())
}

// A look that hangs for longer than an asker waits: he gets the last report, whose time says of when it is.
func TestObserver_LookHangs(t *testing.T) {
	w := newWatched(t)
	w.local.set(nil, id(time.Hour))
	before := w.report()
	w.advance(time.Hour)
	w.mute.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := w.Report(ctx)
	require.NoError(t, err)
	require.Equal(t, before.At, r.At)
	w.mute.Store(false)
}

func TestObserver_TellsWhenTheWatchdogLooked(t *testing.T) {
	w := newWatched(t)
	w.advance(time.Hour)
	require.Equal(t, now, w.Watched(), "it has had no time yet")
	w.Watch(t.Context())
	w.advance(time.Minute)
	require.Equal(t, now.Add(time.Hour), w.report().WatchedAt)
}

// A restart must not cry wolf before the targets have answered.
func TestObserver_StartsQuiet(t *testing.T) {
	w := newWatched(t)
	hang := make(chan struct{})
	w.target.hang = hang
	w.target.set(nil, id(time.Hour))
	r := w.report()
	require.Empty(t, r.Problems, "nothing is here, and what is there is not known yet")
	close(hang)
}
