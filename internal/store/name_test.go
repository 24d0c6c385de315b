package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
)

func TestCheckName(t *testing.T) {
	for _, good := range []string{"a", "-rf", "a b", "it's", `q"q`, "100%", "ключ_日本.sql.gz", strings.Repeat("x", store.MaxName)} {
		require.NoError(t, store.CheckName(good), good)
	}
	for _, bad := range []string{"", ".", "..", ".x", "a/b", "a\nb", "a\x00", "\xff", strings.Repeat("x", store.MaxName+1)} {
		require.Error(t, store.CheckName(bad), bad)
	}
}

func TestIsPartialOf_TellsOwnersApart(t *testing.T) {
	require.True(t, store.IsPartialOf("a", store.PartialName("a", "1", "x")))
	require.False(t, store.IsPartialOf("a", store.PartialName("a.b", "1", "x")))
	require.False(t, store.IsPartialOf("a.b", store.PartialName("a", "b", "x")))
	require.False(t, store.IsPartialOf("a", store.PartialName("A", "1", "x")))
	require.False(t, store.IsPartialOf("a", ".canton-backup.a.notes"))
	longest := store.PartialName(strings.Repeat("o", 60), "0123456789ab", strings.Repeat("x", store.MaxName))
	require.LessOrEqual(t, len(longest), 255)
	require.NoError(t, store.CheckOwner(strings.Repeat("o", 60)))
	require.Error(t, store.CheckOwner(strings.Repeat(".", 21)))
	require.Error(t, store.CheckOwner(""))
}
