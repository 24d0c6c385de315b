package storetest

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
	"canton-backup/internal/store/prove"
)

func openEmpty(t *testing.T, p *Place) {
	require.NoError(t, p.Store.Put(t.Context(), "empty", Bytes(t, ""), nil))
	require.Empty(t, content(t, p.Store, "empty"))
	_, err := p.Store.Open(t.Context(), "empty", 1)
	require.Error(t, err)
}

func readBatch(t *testing.T, p *Place) {
	batch, can := p.Store.(store.Batch)
	if !can {
		return // every Open is cheap there
	}
	none, err := batch.ReadAll(t.Context(), []string{"absent"}, 10)
	require.NoError(t, err, "a folder that does not exist yet holds nothing")
	require.Empty(t, none)
	want := map[string][]byte{"empty": {}, "it's": []byte("size 3\nabc"), "-x": []byte("no end of line"), "binary": {0, 10, 255, 0}}
	names := []string{"absent", "large"}
	for name, text := range want {
		require.NoError(t, p.Store.Put(t.Context(), name, Bytes(t, string(text)), nil))
		names = append(names, name)
	}
	require.NoError(t, p.Store.Put(t.Context(), "large", File(t, 101), nil))
	got, err := batch.ReadAll(t.Context(), names, 100)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = batch.ReadAll(t.Context(), []string{"../x"}, 100)
	require.Error(t, err)
}

func openCancelled(t *testing.T, p *Place) {
	require.NoError(t, p.Store.Put(t.Context(), "x", File(t, p.SlowSize), nil))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := p.Slow.Open(ctx, "x", 0)
	require.NoError(t, err)
	_, err = io.ReadFull(r, make([]byte, 10))
	require.NoError(t, err)
	cancel()
	_, err = io.Copy(io.Discard, r)
	require.ErrorIs(t, err, context.Canceled, "a stream that ends early is no EOF")
	_ = r.Close()

	r, err = p.Slow.Open(t.Context(), "x", 0)
	require.NoError(t, err)
	_, err = io.ReadFull(r, make([]byte, 10))
	require.NoError(t, err)
	require.NoError(t, r.Close(), "a reader may stop early")
}

func openDamaged(t *testing.T, p *Place) {
	file := File(t, 1<<20)
	require.NoError(t, p.Store.Put(t.Context(), "x", file, nil))
	p.Damage(t, "x")
	r, err := p.Store.Open(t.Context(), "x", 0)
	if err != nil {
		require.NotErrorIs(t, err, store.ErrNotFound)
		return // the store knows better than to hand it out
	}
	defer r.Close()
	sum, size, err := store.Digest(t.Context(), r)
	require.False(t, err == nil && size == file.Size && sum == file.SHA256, "what was altered is read as what it was")
}

func list(t *testing.T, p *Place) {
	p.Abandon(t, p.Slow, "unfinished", File(t, p.SlowSize))
	p.Abandon(t, p.SlowForeign, "unfinished too", File(t, p.SlowSize))
	want := []store.Object{}
	for _, name := range append([]string{"b", "a", "B", "a-1", "a.1", "ü", "10", "9"}, p.RawNames...) {
		p.PutRaw(t, name, []byte("raw "+name))
		want = append(want, store.Object{Name: name, Size: int64(4 + len(name))})
	}
	p.PutRaw(t, ".hidden", []byte("x"))
	require.NoError(t, p.Store.Put(t.Context(), "own", Bytes(t, "mine"), nil))
	want = append(want, store.Object{Name: "own", Size: 4})
	slices.SortFunc(want, func(a, b store.Object) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	for _, s := range []store.Store{p.Store, p.Foreign} {
		got, err := s.List(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func listEmpty(t *testing.T, p *Place) {
	got, err := p.Store.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, got)
	swept, err := p.Store.Sweep(t.Context())
	require.NoError(t, err)
	require.Empty(t, swept)
	require.NoError(t, p.Store.Delete(t.Context(), "absent"))
}

func deleteNamed(t *testing.T, p *Place) {
	p.PutRaw(t, "raw", []byte("foreign"))
	for _, name := range []string{"a", "a.b", "ab", "*"} {
		require.NoError(t, p.Store.Put(t.Context(), name, Bytes(t, name), nil))
	}
	require.NoError(t, p.Store.Delete(t.Context(), "absent"))
	require.NoError(t, p.Store.Delete(t.Context(), "*"))
	require.Equal(t, []string{"a", "a.b", "ab", "raw"}, names(t, p.Store))
	require.NoError(t, p.Store.Delete(t.Context(), "a"))
	require.NoError(t, p.Store.Delete(t.Context(), "a"), "absent is success")
	require.Equal(t, []string{"a.b", "ab", "raw"}, names(t, p.Store))
	Absent(t, p.Store, "a")
}

func sweep(t *testing.T, p *Place) {
	p.Abandon(t, p.Slow, "it's unfinished", File(t, p.SlowSize))
	own := p.Leftovers(t)
	require.NotEmpty(t, own)
	p.Abandon(t, p.SlowForeign, "it's unfinished", File(t, p.SlowSize))
	p.Abandon(t, p.SlowForeign, "another", File(t, p.SlowSize))
	p.PutRaw(t, ".hidden", []byte("x"))
	p.PutRaw(t, "foreign", []byte("x"))
	require.NoError(t, p.Store.Put(t.Context(), "own", Bytes(t, "mine"), nil))
	all := p.Leftovers(t)
	require.Greater(t, len(all), len(own))

	swept, err := p.Store.Sweep(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, swept)
	left := p.Leftovers(t)
	for _, name := range own {
		require.NotContains(t, left, name)
	}
	require.Len(t, left, len(all)-len(own), "foreign leftovers stay")
	require.Equal(t, []string{"foreign", "own"}, names(t, p.Store))
	require.Equal(t, "mine", content(t, p.Store, "own"))

	swept, err = p.Store.Sweep(t.Context())
	require.NoError(t, err)
	require.Empty(t, swept)
	_, err = p.Foreign.Sweep(t.Context())
	require.NoError(t, err)
	require.Empty(t, p.Leftovers(t))
}

func check(t *testing.T, p *Place) {
	p.PutRaw(t, "foreign", []byte("x"))
	require.NoError(t, p.Store.Check(t.Context()))
	require.Equal(t, []string{"foreign"}, names(t, p.Store))
	require.Empty(t, p.Leftovers(t))
	require.NotEmpty(t, p.Store.Kind())
	require.NotEmpty(t, p.Store.Location())
}

func scratch(t *testing.T, p *Place) {
	require.NoError(t, p.Store.Put(t.Context(), "own", Bytes(t, "mine"), nil))
	results, swept := 0, false
	require.NoError(t, prove.Target(t.Context(), p.Store, false, func(r prove.Result) {
		results++
		require.NoError(t, r.Err, r.Name)
		require.Equal(t, []string{"own"}, names(t, p.Store), r.Name)
		if !swept { // even while it is under way
			swept = true
			gone, err := p.Store.Sweep(t.Context())
			require.NoError(t, err)
			require.Empty(t, gone)
		}
	}))
	require.Equal(t, len(prove.Checks())+1, results)
	require.Empty(t, p.Leftovers(t))

	place, err := p.Store.Scratch("full") // what a check could not take away, Remove does
	require.NoError(t, err)
	require.NoError(t, place.Store.Put(t.Context(), "left", Bytes(t, "x"), nil))
	require.Error(t, Interrupt(t, place.Store, "cut", File(t, place.Size)))
	require.NotEmpty(t, p.Leftovers(t))
	require.NoError(t, place.Remove(t.Context()))
	require.Empty(t, p.Leftovers(t))
	require.NoError(t, place.Remove(t.Context()), "again")
	require.Equal(t, []string{"own"}, names(t, p.Store))
}

func obeysContext(t *testing.T, p *Place) {
	file := Bytes(t, "x")
	require.NoError(t, p.Store.Put(t.Context(), "x", file, nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for method, call := range map[string]func() error{
		"Check":  func() error { return p.Store.Check(ctx) },
		"Put":    func() error { return p.Store.Put(ctx, "y", file, nil) },
		"Open":   func() error { _, err := p.Store.Open(ctx, "x", 0); return err },
		"List":   func() error { _, err := p.Store.List(ctx); return err },
		"Delete": func() error { return p.Store.Delete(ctx, "x") },
		"Sweep":  func() error { _, err := p.Store.Sweep(ctx); return err },
	} {
		require.ErrorIs(t, call(), context.Canceled, method)
	}
	require.Equal(t, []string{"x"}, names(t, p.Store))
}
