// Package page compares pages of the documentation with the code that they are made from.
package page

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// Current fails the test when the file, a path from the top of the repository, is not this text. With UPDATE_DOCS set, as by
// `make docs`, it writes the file instead.
func Current(t testing.TB, path, text string) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	file := filepath.Join(filepath.Dir(here), "..", "..", "..", path)
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return
	}
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, text, string(data), "%s is stale: run make docs", path)
}
