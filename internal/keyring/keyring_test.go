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
	_, err = keyring.Lend(t.Context(), filepath.Join(folder, "other.sock"), loan)
	require.ErrorIs(t, err, keyring.ErrNoWorker)
	require.ErrorIs(t, keyring.TakeBack(t.Context(), "/nowhere/keys.sock", ""), keyring.ErrNoWorker)
	require.False(t, keyring.Lent(t.Context(), "/nowhere/keys.sock"))

	var ring keyring.Ring
	require.Nil(t, ring.Key())
	closeRing, err := ring.Serve(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.False(t, keyring.Lent(t.Context(), path))
	first, err := keyring.Lend(t.Context(), path, loan)
	require.NoError(t, err)
	require.True(t, keyring.Lent(t.Context(), path))
	key := ring.Key()
	require.NotNil(t, key)
	to, err := encryption.ForAge([]string{identity.Recipient().String()})
	require.NoError(t, err)
	var data bytes.Buffer
	w, err := to.Encrypt(&data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = key.Open(t.Context(), &data, backupset.Component{Encryption: backupset.Age})
	require.NoError(t, err)

	bad := keyring.Loan{Data: []byte("AGE-SECRET-KEY-1QQQ"), For: time.Hour}
	_, err = keyring.Lend(t.Context(), path, bad)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "QQQ")
	require.NotNil(t, ring.Key(), "what is no key does not replace the one that is there")

	second, err := keyring.Lend(t.Context(), path, loan)
	require.NoError(t, err)
	require.NoError(t, keyring.TakeBack(t.Context(), path, first))
	require.NotNil(t, ring.Key(), "another one's loan stays")
	ring.Hold("run", ring.Key())
	require.NoError(t, keyring.TakeBack(t.Context(), path, second))
	require.Nil(t, ring.Key())
	require.NotNil(t, ring.Held("run"), "who has begun with a key may end with it")
	require.Nil(t, ring.Held("other"))
	ring.Release("other")
	require.NotNil(t, ring.Held("run"))
	ring.Release("run")
	require.Nil(t, ring.Held("run"))
	_, err = keyring.Lend(t.Context(), path, loan)
	require.NoError(t, err)
	require.NoError(t, keyring.TakeBack(t.Context(), path, ""))
	require.Nil(t, ring.Key())
	var none *keyring.Ring
	none.Hold("run", key)
	none.Release("run")
	require.Nil(t, none.Held("run"))
	require.Nil(t, none.Key())

	loan.For = time.Nanosecond
	_, err = keyring.Lend(t.Context(), path, loan)
	require.NoError(t, err)
	require.Nil(t, ring.Key(), "its time is over")

	require.NoError(t, closeRing())
	_, err = keyring.Lend(t.Context(), path, loan)
	require.ErrorIs(t, err, keyring.ErrNoWorker)
	require.NoFileExists(t, path)
}
