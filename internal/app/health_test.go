package app

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/config"
)

// A store that cannot be opened is none: a nil of its type would pass for one, and end the worker that asks it where it is.
func TestStores_CannotBeOpened(t *testing.T) {
	s := config.Settings{Node: config.Node{Name: "n"}, BackupDir: t.TempDir(), Targets: []config.Kind{config.S3}}
	s.S3 = config.S3Settings{Bucket: "b", Region: "r", Endpoint: "https://127.0.0.1:1", CAFile: filepath.Join(t.TempDir(), "gone.pem")}
	all, errs := Stores(s)
	require.Len(t, all, 2)
	require.NoError(t, errs[0])
	require.NotNil(t, all[0].Store)
	require.Error(t, errs[1])
	require.True(t, all[1].Store == nil, "comparable with nil, as whoever asks compares it")
}
