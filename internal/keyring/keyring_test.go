package keyring_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/encryption"
	"canton-backup/internal/keyring"
)

func TestRing_LendUseTakeBack(t *testing.T) {
	// Deeper than a socket's address reaches.
	folder := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	require.NoError(t, os.MkdirAll(folder, 0o700))
	path := filepath.Join(folder, "keys.sock")
	require.NoError(t, os.WriteFile(path, nil, 0o600), "what a killed worker left")

	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	loan := keyring.Loan{Data: []byte(identity.String()), For: time.Hour}
	require.ErrorIs(t, keyring.Lend(t.Context(), filepath.Join(folder, "other.sock"), loan), keyring.ErrNoWorker)
	require.ErrorIs(t, keyring.Lend(t.Context(), "/nowhere/keys.sock", loan), keyring.ErrNoWorker)

	var ring keyring.Ring
	require.Nil(t, ring.Key())
	closeRing, err := ring.Serve(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, keyring.Lend(t.Context(), path, loan))
	key := ring.Key()
	require.NotNil(t, key)
	to, err := encryption.ForAge([]string{identity.Recipient().String()})
	require.NoError(t, err)
	var data bytes.Buffer
	w, err := to.Encrypt(&data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = key.Open(&data, backupset.Component{Encryption: backupset.Age})
	require.NoError(t, err)

	bad := keyring.Loan{Data: []byte("AGE-SECRET-KEY-1QQQ"), For: time.Hour}
	err = keyring.Lend(t.Context(), path, bad)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "QQQ")
	require.NotNil(t, ring.Key(), "what is no key does not replace the one that is there")

	require.NoError(t, keyring.Lend(t.Context(), path, keyring.Loan{}))
	require.Nil(t, ring.Key())

	loan.For = time.Nanosecond
	require.NoError(t, keyring.Lend(t.Context(), path, loan))
	require.Nil(t, ring.Key(), "its time is over")

	require.NoError(t, closeRing())
	require.ErrorIs(t, keyring.Lend(t.Context(), path, loan), keyring.ErrNoWorker)
	require.NoFileExists(t, path)
}
