package deadline_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/deadline"
)

func TestGuard(t *testing.T) {
	var g deadline.Guard
	ran := false
	require.NoError(t, g.Do(time.Minute, func() { ran = true }))
	require.True(t, ran)

	hang := make(chan struct{})
	require.ErrorIs(t, g.Do(time.Millisecond, func() { <-hang }), deadline.ErrHung)
	var calls atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if g.Do(time.Millisecond, func() { calls.Add(1) }) == nil {
				t.Error("the one before still hangs")
			}
		})
	}
	all.Wait()
	require.Zero(t, calls.Load(), "one call is left behind, not one for each asker")

	close(hang)
	require.Eventually(t, func() bool { return g.Do(time.Minute, func() { calls.Add(1) }) == nil }, time.Minute, time.Millisecond, "it has come back")
	for range 20 {
		all.Go(func() {
			if err := g.Do(time.Minute, func() { calls.Add(1) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 21, calls.Load())
}
