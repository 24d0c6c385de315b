package dir

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"canton-backup/internal/store"
)

// Foreign is a folder on a disk or share that may not be mounted. It is never created, a missing one is ErrNoBucket, and so is one below
// a mount point of /etc/fstab where nothing is mounted: else the disk below would be filled in silence.
//
// The server of a share may also be dead. Then the kernel keeps whoever asks waiting, for ever, and listens to no context. So every
// method asks from a goroutine and leaves that behind when the context ends, or with ErrStalled when nothing moved for StallAfter. What
// was left behind begins no further change, should its kernel call ever return; a call that the kernel has taken, it may still carry out.
type Foreign struct{ store *Store }

var _ store.Store = (*Foreign)(nil)

// NewForeign checks the settings. It touches nothing.
func NewForeign(cfg Config) (*Foreign, error) {
	if cfg.StallAfter == 0 {
		cfg.StallAfter = DefaultStallAfter
	}
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	s.foreign = true
	return &Foreign{s}, nil
}

// giveWay is how long a call whose context ended may take to clear up behind itself.
const giveWay = time.Second

// attempt is a call that may be left behind.
type attempt struct {
	mu   sync.Mutex // held while the caller's progress runs
	left bool
	tick chan struct{} // something moved
}

func (a *attempt) moved() {
	select {
	case a.tick <- struct{}{}:
	default:
	}
}

// leave returns once the caller's progress runs no more, and will not again.
func (a *attempt) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = true
}

// progress passes on to the caller's, as long as the caller waits.
func (a *attempt) progress(to func(int64)) func(int64) {
	return func(n int64) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.moved()
		if to != nil && !a.left {
			to(n)
		}
	}
}

// try runs work on a copy of the store whose movements it watches. drop gets what work returns when nobody waits for it any more.
func try[T any](ctx context.Context, s *Store, what string, work func(ctx context.Context, s *Store, a *attempt) (T, error), drop func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	a := &attempt{tick: make(chan struct{}, 1)}
	watched := *s
	watched.moved = a.moved
	out, gone := make(chan result), make(chan struct{})
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		value, err := work(inner, &watched, a)
		select {
		case out <- result{value, err}:
		case <-gone:
			if err == nil && drop != nil {
				drop(value)
			}
		}
	}()
	leave := func(cause error) (T, error) {
		var none T
		cancel() // before the caller hears of it
		a.leave()
		close(gone)
		return none, fmt.Errorf("%s: %w", what, cause)
	}
	stalled := time.NewTimer(s.cfg.StallAfter)
	defer stalled.Stop()
	ended := ctx.Done()
	var late <-chan time.Time
	for {
		select {
		case r := <-out:
			return r.value, r.err
		case <-a.tick:
			stalled.Reset(s.cfg.StallAfter)
		case <-ended:
			ended, late = nil, time.After(giveWay)
		case <-late:
			return leave(ctx.Err())
		case <-stalled.C:
			return leave(fmt.Errorf("%w for %s at %s; look at the disk, or at the share's server", store.ErrStalled, s.cfg.StallAfter, s.cfg.Path))
		}
	}
}

// tryOnly is try for work that returns nothing.
func tryOnly(ctx context.Context, s *Store, what string, work func(ctx context.Context, s *Store, a *attempt) error) error {
	_, err := try(ctx, s, what, func(ctx context.Context, s *Store, a *attempt) (struct{}, error) {
		return struct{}{}, work(ctx, s, a)
	}, nil)
	return err
}

// Kind implements store.Store.
func (f *Foreign) Kind() string { return f.store.Kind() }

// Location implements store.Store.
func (f *Foreign) Location() string { return f.store.Location() }

// Check implements store.Store.
func (f *Foreign) Check(ctx context.Context) error {
	return tryOnly(ctx, f.store, "check folder "+f.store.cfg.Path, func(ctx context.Context, s *Store, _ *attempt) error { return s.Check(ctx) })
}

// Put implements store.Store.
func (f *Foreign) Put(ctx context.Context, name string, file store.File, progress func(int64)) error {
	return tryOnly(ctx, f.store, fmt.Sprintf("put %q", name), func(ctx context.Context, s *Store, a *attempt) error {
		return s.Put(ctx, name, file, a.progress(progress))
	})
}

// List implements store.Store.
func (f *Foreign) List(ctx context.Context) ([]store.Object, error) {
	return try(ctx, f.store, "list "+f.store.cfg.Path, func(ctx context.Context, s *Store, _ *attempt) ([]store.Object, error) { return s.List(ctx) }, nil)
}

// Delete implements store.Store.
func (f *Foreign) Delete(ctx context.Context, name string) error {
	return tryOnly(ctx, f.store, fmt.Sprintf("delete %q", name), func(ctx context.Context, s *Store, _ *attempt) error { return s.Delete(ctx, name) })
}

// Sweep implements store.Store.
func (f *Foreign) Sweep(ctx context.Context) ([]string, error) {
	return try(ctx, f.store, "sweep "+f.store.cfg.Path, func(ctx context.Context, s *Store, _ *attempt) ([]string, error) { return s.Sweep(ctx) }, nil)
}

// Scratch implements store.Store: a folder in the folder.
func (f *Foreign) Scratch(tag string) (store.Scratch, error) {
	s, err := try(context.Background(), f.store, "open scratch folder", func(_ context.Context, s *Store, _ *attempt) (*Store, error) { return s.scratch(tag) }, nil)
	if err != nil {
		return store.Scratch{}, err
	}
	return store.Scratch{Store: &Foreign{s}, Size: 3 * step, Remove: func(ctx context.Context) error {
		return tryOnly(ctx, s, "remove "+s.cfg.Path, func(ctx context.Context, s *Store, _ *attempt) error { return s.removeAll(ctx) })
	}}, nil
}

// Open implements store.Store. The stream is watched as well.
func (f *Foreign) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	r, err := try(ctx, f.store, fmt.Sprintf("open %q", name), func(ctx context.Context, s *Store, _ *attempt) (io.ReadCloser, error) {
		return s.Open(ctx, name, offset)
	}, func(r io.ReadCloser) { _ = r.Close() })
	if err != nil {
		return nil, err
	}
	r.(*reader).ctx = ctx // the call's own has ended with it
	return &foreignReader{ctx: ctx, store: f.store, name: name, from: r}, nil
}

type foreignReader struct {
	ctx   context.Context
	store *Store
	name  string
	from  io.ReadCloser
	buf   []byte // not the caller's: who left a read behind may use his own again
	err   error  // why the stream was left
}

type piece struct {
	n   int
	err error // of the stream
}

func (r *foreignReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(r.buf) < len(p) {
		r.buf = make([]byte, len(p))
	}
	buf := r.buf[:len(p)]
	got, err := try(r.ctx, r.store, fmt.Sprintf("read %q", r.name), func(context.Context, *Store, *attempt) (piece, error) {
		n, err := r.from.Read(buf)
		return piece{n, err}, nil
	}, nil)
	if err != nil { // the read that was left behind has the buffer
		r.buf, r.err = nil, err
		return 0, err
	}
	return copy(p, buf[:got.n]), got.err
}

// Close gives up on a file that cannot even be closed.
func (r *foreignReader) Close() error {
	return tryOnly(r.ctx, r.store, fmt.Sprintf("close %q", r.name), func(context.Context, *Store, *attempt) error { return r.from.Close() })
}
