package s3_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
	"canton-backup/internal/store/storetest"
	"canton-backup/internal/testkit/s3server"
)

// Memory follows from part size and concurrency, not from the file: a validator's dump may be hundreds of gigabytes.
func TestPut_MemoryDoesNotGrowWithTheFile(t *testing.T) {
	server := s3server.Start(t)
	cfg := config(server, server.Addr, "node")
	cfg.PartSize = 64 << 20 // more than may be in memory
	s := open(t, cfg)
	peak := func(name string, size int64) uint64 {
		file := storetest.File(t, size)
		runtime.GC()
		stop, top := make(chan struct{}), make(chan uint64)
		go func() {
			var most uint64
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					top <- most
					return
				case <-tick.C:
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					most = max(most, m.HeapInuse)
				}
			}
		}()
		require.NoError(t, s.Put(t.Context(), name, file, nil))
		r, err := s.Open(t.Context(), name, 0)
		require.NoError(t, err)
		_, n, err := store.Digest(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, size, n)
		require.NoError(t, r.Close())
		close(stop)
		return <-top
	}
	small, large := peak("small", 30<<20), peak("large", 300<<20)
	t.Logf("peak heap: %d MiB for 30 MiB, %d MiB for 300 MiB", small>>20, large>>20)
	require.Less(t, large, small+8<<20)
	require.Less(t, large, uint64(48<<20))
}
