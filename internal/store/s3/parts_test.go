package s3

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPartSizeFor_StaysWithin10000Parts(t *testing.T) {
	require.Equal(t, int64(16<<20), partSizeFor(1<<30, 16<<20))
	require.Equal(t, int64(16<<20), partSizeFor(16<<20*maxParts, 16<<20))
	for _, size := range []int64{16<<20*maxParts + 1, 1 << 40, 5 << 40} {
		part := partSizeFor(size, 16<<20)
		require.LessOrEqual(t, (size+part-1)/part, int64(maxParts))
		require.Zero(t, part%mebibyte)
	}
}
