package s3

import (
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
)

func TestPartSizeFor_StaysWithinTheServersLimits(t *testing.T) {
	for _, parts := range []int64{DefaultMaxParts, 1000} {
		for _, size := range []int64{1 << 30, 16 << 20 * parts} {
			part, err := partSizeFor(size, 16<<20, parts)
			require.NoError(t, err)
			require.Equal(t, int64(16<<20), part)
		}
		for _, size := range []int64{16<<20*parts + 1, 1 << 40, maxPartSize * parts} {
			part, err := partSizeFor(size, 16<<20, parts)
			require.NoError(t, err)
			require.LessOrEqual(t, (size+part-1)/part, parts)
			require.Zero(t, part%mebibyte)
			require.LessOrEqual(t, part, int64(maxPartSize))
		}
		_, err := partSizeFor(maxPartSize*parts+1, 16<<20, parts)
		require.ErrorIs(t, err, store.ErrTooLarge)
	}
}
