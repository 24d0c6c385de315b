package storetest

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
)

func roundTripSizes(t *testing.T, p *Place) {
	sizes := map[string]int64{"empty": 0, "one": 1, "odd": 1<<20 + 1}
	if p.PartSize > 0 {
		sizes["part-1"], sizes["part"], sizes["part+1"] = p.PartSize-1, p.PartSize, p.PartSize+1
		sizes["parts"] = 3*p.PartSize + 17
	}
	for name, size := range sizes {
		file := File(t, size)
		var last int64 = -1
		require.NoError(t, p.Store.Put(t.Context(), name, file, func(n int64) {
			require.GreaterOrEqual(t, n, last, "progress goes forward")
			if last = n; n == size {
				require.Contains(t, names(t, p.Store), name, "the full size is reported when the object is there")
			}
		}), name)
		require.Equal(t, size, last, "progress ends with the size")
		Holds(t, p.Store, name, file)
		Holds(t, p.Foreign, name, file)
	}
	require.Empty(t, p.Leftovers(t))
	require.NoError(t, p.Store.Put(t.Context(), "no progress", File(t, 10), nil))
}

func roundTripNames(t *testing.T, p *Place) {
	all := []string{
		"splice-wallet_20261104_040000.sql.gz", "-rf", "--help", "a b  c ", " it's", `say "x" back\slash`, "100% +x&y=z", "%41%2F", "a+b",
		"$HOME `id` $(id)", "*", "[a]?{a,b}", "~root", "C:host:file", "ünïcode_日本_ключ", "#!;|<c>&a@b", strings.Repeat("n", store.MaxName),
	}
	for _, name := range all {
		require.NoError(t, p.Store.Put(t.Context(), name, Bytes(t, "content of "+name), nil), name)
	}
	slices.Sort(all)
	require.Equal(t, all, names(t, p.Store))
	for _, name := range all {
		require.Equal(t, "content of "+name, content(t, p.Store, name))
	}
	for i, name := range all {
		require.NoError(t, p.Store.Delete(t.Context(), name), name)
		if i%5 == 0 {
			require.Equal(t, all[i+1:], names(t, p.Store), name)
		}
	}
	require.Empty(t, names(t, p.Store))
}

func refuseNames(t *testing.T, p *Place) {
	for _, name := range []string{"", ".", "..", ".hidden", "a/b", "/etc", "../x", "a\nb", "a\x00b", strings.Repeat("n", store.MaxName+1)} {
		require.Error(t, p.Store.Put(t.Context(), name, Bytes(t, "x"), nil), "%q", name)
		_, err := p.Store.Open(t.Context(), name, 0)
		require.Error(t, err, "%q", name)
		require.Error(t, p.Store.Delete(t.Context(), name), "%q", name)
	}
	require.Empty(t, names(t, p.Store))
	require.Empty(t, p.Leftovers(t))
}

func putAgain(t *testing.T, p *Place) {
	size := int64(3 << 20)
	if p.PartSize > 0 {
		size = 2*p.PartSize + 5
	}
	file := File(t, size)
	require.NoError(t, p.Store.Put(t.Context(), "x", file, nil))
	before := sent(p)
	for _, s := range []store.Store{p.Store, p.Foreign} {
		var calls []int64
		require.NoError(t, s.Put(t.Context(), "x", file, func(n int64) { calls = append(calls, n) }))
		require.Equal(t, []int64{size}, calls)
	}
	require.Less(t, sent(p)-before, int64(100_000), "nothing is sent again")
	Holds(t, p.Store, "x", file)
	require.Empty(t, p.Leftovers(t))
}

func putOther(t *testing.T, p *Place) {
	file := Bytes(t, "first content")
	require.NoError(t, p.Store.Put(t.Context(), "x", file, nil))
	p.PutRaw(t, "raw", []byte("of a stranger"))
	for _, other := range []string{"other content", ""} {
		require.ErrorIs(t, p.Store.Put(t.Context(), "x", Bytes(t, other), nil), store.ErrExists, other)
		require.ErrorIs(t, p.Foreign.Put(t.Context(), "x", Bytes(t, other), nil), store.ErrExists, other)
	}
	require.ErrorIs(t, p.Store.Put(t.Context(), "raw", Bytes(t, "of the owner!"), nil), store.ErrExists)
	require.NoError(t, p.Store.Put(t.Context(), "raw", Bytes(t, "of a stranger"), nil), "whoever put it: the content counts")
	require.Equal(t, "of a stranger", content(t, p.Store, "raw"))
	Holds(t, p.Store, "x", file)
	require.Empty(t, p.Leftovers(t))
	if p.PartSize > 0 {
		require.ErrorIs(t, p.Store.Put(t.Context(), "x", File(t, p.PartSize+1), nil), store.ErrExists)
		Holds(t, p.Store, "x", file)
	}
}

func putWrongFile(t *testing.T, p *Place) {
	sizes := []int64{5, 1 << 20}
	if p.PartSize > 0 {
		sizes = append(sizes, 2*p.PartSize+3)
	}
	for _, size := range sizes {
		good := File(t, size)
		wrong := good
		wrong.SHA256 = File(t, size).SHA256
		require.ErrorIs(t, p.Store.Put(t.Context(), "x", wrong, nil), store.ErrCorrupt)
		for _, delta := range []int64{-1, 1} {
			wrong = good
			wrong.Size += delta
			require.ErrorIs(t, p.Store.Put(t.Context(), "x", wrong, nil), store.ErrCorrupt)
		}
		wrong = good
		wrong.SHA256 = "abc"
		require.Error(t, p.Store.Put(t.Context(), "x", wrong, nil))
		wrong = good
		wrong.Path += ".absent"
		require.ErrorIs(t, p.Store.Put(t.Context(), "x", wrong, nil), os.ErrNotExist)
		Absent(t, p.Store, "x")
		require.NoError(t, p.Store.Put(t.Context(), "x", good, nil), "the right file goes through afterwards")
		Holds(t, p.Store, "x", good)
		require.NoError(t, p.Store.Delete(t.Context(), "x"))
	}
	require.Empty(t, p.Leftovers(t))
}

func putChangedSource(t *testing.T, p *Place) {
	for what, change := range map[string]func(t *testing.T, path string){
		"one byte": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			require.NoError(t, err)
			b := make([]byte, 1)
			_, err = f.ReadAt(b, p.SlowSize-2)
			require.NoError(t, err)
			b[0] ^= 1
			_, err = f.WriteAt(b, p.SlowSize-2)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		},
		"shorter":  func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, p.SlowSize-1000)) },
		"longer":   func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, p.SlowSize+1000)) },
		"replaced": func(t *testing.T, path string) { require.NoError(t, os.Rename(File(t, p.SlowSize).Path, path)) },
		"removed":  func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
	} {
		t.Run(what, func(t *testing.T) {
			file := File(t, p.SlowSize)
			changed := false
			err := p.Slow.Put(t.Context(), "x", file, func(n int64) {
				if n > 0 && !changed {
					changed = true
					change(t, file.Path)
				}
			})
			require.ErrorIs(t, err, store.ErrCorrupt)
			require.True(t, changed)
			Absent(t, p.Store, "x")
		})
	}
}

func putInvisible(t *testing.T, p *Place) {
	file := File(t, p.SlowSize)
	looked := 0
	require.NoError(t, p.Slow.Put(t.Context(), "x", file, func(n int64) {
		if n == 0 || n == file.Size || looked > 1 {
			return
		}
		looked++
		for _, s := range []store.Store{p.Store, p.Foreign} {
			Absent(t, s, "x")
			require.Empty(t, names(t, s))
		}
	}))
	require.Positive(t, looked, "somebody looked while the Put was under way")
	Holds(t, p.Store, "x", file)
}

func cancelledBefore(t *testing.T, p *Place) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Store.Put(ctx, "x", Bytes(t, "x"), nil), context.Canceled)
	Absent(t, p.Store, "x")
	require.Empty(t, p.Leftovers(t))
}

func cancelledMid(t *testing.T, p *Place) {
	file := File(t, p.SlowSize)
	require.ErrorIs(t, Interrupt(t, p.Slow, "x", file), context.Canceled)
	Absent(t, p.Store, "x")
	goesOn(t, p, file)
}

func killedMid(t *testing.T, p *Place) {
	file := File(t, p.SlowSize)
	p.Abandon(t, p.Slow, "x", file)
	Absent(t, p.Store, "x")
	require.NotEmpty(t, p.Leftovers(t))
	goesOn(t, p, file)
}

// goesOn asserts that a Put succeeds after an interrupted one, and sends less than all when the place counts.
func goesOn(t *testing.T, p *Place, file store.File) {
	t.Helper()
	before := sent(p)
	require.NoError(t, p.Store.Put(t.Context(), "x", file, nil))
	Holds(t, p.Store, "x", file)
	if p.Sent != nil {
		require.Less(t, sent(p)-before, file.Size, "what was there is not sent again")
	}
}

func leftoverOfOther(t *testing.T, p *Place) {
	p.Abandon(t, p.Slow, "x", File(t, p.SlowSize))
	file := File(t, p.SlowSize)
	require.NoError(t, p.Store.Put(t.Context(), "x", file, nil))
	Holds(t, p.Store, "x", file)
	_, err := p.Store.Sweep(t.Context())
	require.NoError(t, err)
	require.Empty(t, p.Leftovers(t))
	Holds(t, p.Store, "x", file)
}

func putTwiceAtOnce(t *testing.T, p *Place) {
	file := File(t, p.SlowSize)
	errs := both(func() error { return p.Store.Put(t.Context(), "x", file, nil) },
		func() error { return p.Store.Put(t.Context(), "x", file, nil) })
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	Holds(t, p.Store, "x", file)
}

func putRace(t *testing.T, p *Place) {
	for _, size := range []int64{1000, p.SlowSize} {
		files := []store.File{File(t, size), File(t, size)}
		errs := both(func() error { return p.Store.Put(t.Context(), "x", files[0], nil) },
			func() error { return p.Foreign.Put(t.Context(), "x", files[1], nil) })
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		require.NoError(t, errs[winner])
		require.ErrorIs(t, errs[1-winner], store.ErrExists)
		Holds(t, p.Store, "x", files[winner])
		require.NoError(t, p.Store.Delete(t.Context(), "x"))
	}
}

func both(a, b func() error) [2]error {
	var errs [2]error
	var wg sync.WaitGroup
	wg.Go(func() { errs[0] = a() })
	wg.Go(func() { errs[1] = b() })
	wg.Wait()
	return errs
}

func sent(p *Place) int64 {
	if p.Sent == nil {
		return 0
	}
	return p.Sent()
}
