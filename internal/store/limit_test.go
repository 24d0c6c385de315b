package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
)

func TestLimiter_HoldsTheRate(t *testing.T) {
	limit := store.NewLimiter(1 << 20)
	began := time.Now()
	require.NoError(t, limit.Wait(t.Context(), 300<<10))
	require.Greater(t, time.Since(began), 200*time.Millisecond, "300 KiB less the first piece, at 1 MiB a second")
	require.LessOrEqual(t, limit.Piece(10<<20), 1<<20/10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, limit.Wait(ctx, 100), context.Canceled)
}

func TestLimiter_NoneForZero(t *testing.T) {
	limit := store.NewLimiter(0)
	require.Nil(t, limit)
	require.Equal(t, 10<<20, limit.Piece(10<<20))
	require.NoError(t, limit.Wait(t.Context(), 1<<40))
	for _, slow := range []int64{1, 9, 1024} { // a rate below ten bytes a second still moves
		require.Positive(t, store.NewLimiter(slow).Piece(100))
	}
}
