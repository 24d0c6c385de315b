package s3_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
	"canton-backup/internal/store/storetest"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/internal/testkit/s3server"
)

func TestPut_LineCutInAPart(t *testing.T) {
	server := s3server.Start(t)
	line := faultproxy.Start(t, server.Addr)
	s := open(t, config(server, line.Addr(), "node"))
	file := storetest.File(t, slowSize)

	line.CutAfter(partSize/2, 1)
	require.NoError(t, s.Put(t.Context(), "once", file, nil), "one cut is got over by trying the part again")
	storetest.Holds(t, s, "once", file)
	require.Greater(t, line.Sent(), file.Size, "the cut happened")

	cutting := false
	err := s.Put(t.Context(), "often", file, func(int64) {
		if !cutting { // a part got through; from now on none will
			cutting = true
			line.CutAfter(partSize/2, 1_000_000)
		}
	})
	require.ErrorContains(t, err, "exceeded maximum number of attempts, 5")
	line.Heal()
	storetest.Absent(t, s, "often")
	before := line.Sent()
	require.NoError(t, s.Put(t.Context(), "often", file, nil))
	require.Less(t, line.Sent()-before, file.Size, "the part that got through is not sent again")
	storetest.Holds(t, s, "often", file)
}

func TestPut_StalledLine(t *testing.T) {
	server := s3server.Start(t)
	line := faultproxy.Start(t, server.Addr)
	cfg := config(server, line.Addr(), "node")
	cfg.StallAfter = time.Second
	s := open(t, cfg)
	file := storetest.File(t, slowSize)
	line.StallAfter(partSize + 1000)
	began := time.Now()
	err := s.Put(t.Context(), "x", file, nil)
	require.ErrorIs(t, err, store.ErrStalled)
	require.Less(t, time.Since(began), 15*time.Second)
	_, err = s.List(t.Context())
	require.ErrorIs(t, err, store.ErrStalled)
	line.Heal()
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	storetest.Holds(t, s, "x", file)
}

func TestPut_SlowIsNotStalled(t *testing.T) {
	server := s3server.Start(t)
	line := faultproxy.Start(t, server.Addr)
	cfg := config(server, line.Addr(), "node")
	cfg.StallAfter = time.Second
	s := open(t, cfg)
	line.SetRate(2 << 20)
	file := storetest.File(t, partSize)
	began := time.Now()
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	require.Greater(t, time.Since(began), 1500*time.Millisecond, "the request took longer than the stall limit")
	storetest.Holds(t, s, "x", file)
}

func TestOpen_StalledAndCutStream(t *testing.T) {
	server := s3server.Start(t)
	line := faultproxy.Start(t, server.Addr)
	cfg := config(server, line.Addr(), "node")
	cfg.StallAfter = time.Second
	s := open(t, cfg)
	file := storetest.File(t, 60<<20)
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	read := func(fault func()) error {
		r, err := s.Open(t.Context(), "x", 0)
		require.NoError(t, err)
		defer r.Close()
		_, err = io.ReadFull(r, make([]byte, 1000))
		require.NoError(t, err)
		fault()
		_, err = io.Copy(io.Discard, r)
		return err
	}
	require.ErrorIs(t, read(func() { line.StallAfter(0) }), store.ErrStalled)
	line.Heal()
	require.Error(t, read(line.CutNow))
}

// The limit is for all that goes out, over all connections.
func TestPut_UploadLimit(t *testing.T) {
	server := s3server.Start(t)
	cfg := config(server, server.Addr, "node")
	cfg.Limit, cfg.StallAfter = 8<<20, time.Second
	s := open(t, cfg)
	file := storetest.File(t, slowSize)
	began := time.Now()
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	require.Greater(t, time.Since(began), 1700*time.Millisecond, "15 MiB at 8 MiB a second")
	storetest.Holds(t, s, "x", file)
}
