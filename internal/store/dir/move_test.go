package dir

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMove_ReplacesNothing(t *testing.T) {
	for name, move := range map[string]func(from, to string) error{
		"moveNoReplace": moveNoReplace, "moveByLink": moveByLink, "moveByLook": moveByLook,
	} {
		t.Run(name, func(t *testing.T) {
			from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
			require.NoError(t, os.WriteFile(from, []byte("new"), 0o600))
			require.NoError(t, os.WriteFile(to, []byte("old"), 0o600))
			require.ErrorIs(t, move(from, to), fs.ErrExist)
			require.FileExists(t, from)
			got, err := os.ReadFile(to)
			require.NoError(t, err)
			require.Equal(t, "old", string(got))

			require.NoError(t, os.Remove(to))
			require.NoError(t, move(from, to))
			require.NoFileExists(t, from)
			require.FileExists(t, to)
		})
	}
}
