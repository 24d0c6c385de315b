package seal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/encryption"
	"canton-backup/internal/seal"
)

func text(n int) []byte {
	raw := make([]byte, n/2)
	chacha := rand.NewChaCha8([32]byte{1})
	_, _ = chacha.Read(raw) // never fails
	return []byte(hex.EncodeToString(raw))
}

func TestWriter_StockToolsReadIt(t *testing.T) {
	plain := text(9 << 20)
	for codec, tool := range map[backupset.Codec][]string{backupset.Gzip: {"gzip", "-dc"}, backupset.Zstd: {"zstd", "-dcq"}} {
		t.Run(string(codec), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dump")
			want := store(t, path, codec, plain)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			require.Equal(t, want.Size, info.Size())
			require.Less(t, want.Size, int64(len(plain))*6/10, "hex text halves")

			cmd := exec.Command(tool[0], tool[1:]...)
			cmd.Stdin, err = os.Open(path)
			require.NoError(t, err)
			decoded, err := cmd.Output()
			require.NoError(t, err)
			require.True(t, bytes.Equal(plain, decoded))
			require.NoError(t, seal.Verify(t.Context(), open(t, path), want, nil))
		})
	}
}

func TestVerify_SeesEveryDefect(t *testing.T) {
	plain := text(3 << 20)
	for _, codec := range []backupset.Codec{backupset.Gzip, backupset.Zstd} {
		path := filepath.Join(t.TempDir(), "dump")
		want := store(t, path, codec, plain)
		good, err := os.ReadFile(path)
		require.NoError(t, err)
		flipped := bytes.Clone(good)
		flipped[len(flipped)/2] ^= 1
		for name, data := range map[string][]byte{
			"empty": nil, "truncated": good[:len(good)-1], "half": good[:len(good)/2], "one bit": flipped, "one byte more": append(bytes.Clone(good), 0),
		} {
			t.Run(string(codec)+" "+name, func(t *testing.T) {
				require.ErrorIs(t, seal.Verify(t.Context(), bytes.NewReader(data), want, nil), seal.ErrDiffers)
			})
		}
		t.Run(string(codec)+" other text under a right file digest", func(t *testing.T) {
			other := want
			other.PlainSHA256 = want.SHA256
			require.ErrorIs(t, seal.Verify(t.Context(), bytes.NewReader(good), other, nil), seal.ErrDiffers)
		})
	}
}

func TestWriter_AbortAndFullDiskLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dump")
	w, err := seal.Create(path, seal.Form{Codec: backupset.Gzip})
	require.NoError(t, err)
	_, err = w.Write(text(2 << 20))
	require.NoError(t, err)
	require.NoError(t, w.Abort())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)

	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = seal.Create(path, seal.Form{Codec: backupset.Gzip})
	require.ErrorIs(t, err, os.ErrExist)
	_, err = seal.Create(filepath.Join(dir, "x"), seal.Form{Codec: "lz4"})
	require.Error(t, err)
	require.NoFileExists(t, filepath.Join(dir, "x"))
}

func store(t *testing.T, path string, codec backupset.Codec, plain []byte) backupset.Component {
	t.Helper()
	w, err := seal.Create(path, seal.Form{Codec: codec})
	require.NoError(t, err)
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{bytes.NewReader(plain)}, make([]byte, 100_000))
	require.NoError(t, err)
	require.Equal(t, int64(len(plain)), w.Plain())
	r, err := w.Close()
	require.NoError(t, err)
	return backupset.Component{File: "dump", Codec: codec, Size: r.Size, SHA256: r.SHA256, PlainSize: r.PlainSize, PlainSHA256: r.PlainSHA256}
}

func open(t *testing.T, path string) io.Reader {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(f.Close())) })
	return f
}

// A full disk ends the stream with its error and leaves no file.
func TestWriter_FullDisk(t *testing.T) {
	for _, codec := range []backupset.Codec{backupset.Gzip, backupset.Zstd} {
		t.Run(string(codec), func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", dir).Run())
			t.Cleanup(func() { require.NoError(t, exec.Command("umount", dir).Run()) })
			w, err := seal.Create(filepath.Join(dir, "dump"), seal.Form{Codec: codec})
			require.NoError(t, err)
			_, err = io.Copy(struct{ io.Writer }{w}, bytes.NewReader(text(16<<20)))
			if err == nil {
				_, err = w.Close()
			} else {
				require.NoError(t, w.Abort())
			}
			require.ErrorIs(t, err, syscall.ENOSPC)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestWriter_EmptyStream(t *testing.T) {
	for _, codec := range []backupset.Codec{backupset.Gzip, backupset.Zstd} {
		path := filepath.Join(t.TempDir(), "dump")
		want := store(t, path, codec, nil)
		require.NoError(t, seal.Verify(t.Context(), open(t, path), want, nil))
	}
}

// Compression, then encryption, then the digest of what is stored; an altered byte, a cut and a missing key each have their own name.
func TestCreate_Encrypted(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	to, err := encryption.ForAge([]string{identity.Recipient().String()})
	require.NoError(t, err)
	key, err := encryption.ParseKey([]byte(identity.String()), "key", nil)
	require.NoError(t, err)
	for _, codec := range []backupset.Codec{backupset.Gzip, backupset.Zstd, ""} {
		path := filepath.Join(t.TempDir(), "file")
		w, err := seal.Create(path, seal.Form{Codec: codec, To: to})
		require.NoError(t, err)
		text := strings.Repeat("a line of a dump\n", 100_000)
		_, err = io.WriteString(w, text)
		require.NoError(t, err)
		result, err := w.Close()
		require.NoError(t, err)
		c := backupset.Component{Codec: codec, Size: result.Size, SHA256: result.SHA256,
			PlainSize: result.PlainSize, PlainSHA256: result.PlainSHA256}
		c.Encryption, c.Recipients = to.Describe()
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotContains(t, string(data), "line of a dump")
		require.NoError(t, seal.Verify(t.Context(), bytes.NewReader(data), c, key))
		require.NoError(t, seal.VerifyStored(bytes.NewReader(data), c))
		r, err := seal.Decode(t.Context(), bytes.NewReader(data), c, key)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
		require.NoError(t, r.Close())

		require.ErrorIs(t, seal.Verify(t.Context(), bytes.NewReader(data), c, nil), encryption.ErrNoKey)
		for at := range 300 { // the header, in which a rotten byte looks like another's key
			altered := bytes.Clone(data)
			altered[at] ^= 1
			err := seal.Verify(t.Context(), bytes.NewReader(altered), c, key)
			require.ErrorIs(t, err, seal.ErrDiffers, at)
			require.NotErrorIs(t, err, encryption.ErrWrongKey, at)
		}
		altered := bytes.Clone(data)
		altered[len(data)-1] ^= 1
		require.ErrorIs(t, seal.Verify(t.Context(), bytes.NewReader(altered), c, key), seal.ErrDiffers)
		require.ErrorIs(t, seal.VerifyStored(bytes.NewReader(altered), c), seal.ErrDiffers)
		require.ErrorIs(t, seal.Verify(t.Context(), bytes.NewReader(data[:len(data)-1]), c, key), seal.ErrDiffers)
	}
}

// Frames of several levels are one file to the stock tool, and a slow link gets fewer bytes.
func TestWriter_LevelsByTheLink(t *testing.T) {
	var row strings.Builder
	source := rand.New(rand.NewPCG(1, 2))
	for row.Len() < 9<<20 {
		fmt.Fprintf(&row, "%d\t{\"owner\":\"validator-%d::1220\",\"round\":%d,\"amount\":\"%d.0000000000\"}\n", source.Int32(), source.IntN(300), source.IntN(3000), source.IntN(5000))
	}
	sizes := map[int64]int64{}
	for _, link := range []int64{0, 1 << 40, 1000} {
		path := filepath.Join(t.TempDir(), "dump")
		w, err := seal.Create(path, seal.Form{Codec: backupset.Zstd, Levels: backupset.Levels{Floor: 1, Ceiling: 7, Link: link}})
		require.NoError(t, err)
		_, err = io.WriteString(w, row.String())
		require.NoError(t, err)
		r, err := w.Close()
		require.NoError(t, err)
		require.Equal(t, map[int64]int{0: 1, 1 << 40: 1, 1000: 7}[link], r.ZstdLevel)
		sizes[link] = r.Size
		decoded, err := exec.Command("zstd", "-dcq", path).Output()
		require.NoError(t, err)
		require.True(t, row.String() == string(decoded))
	}
	require.Less(t, sizes[1000], sizes[0]*95/100)
	require.Equal(t, sizes[0], sizes[1<<40])
}

// However the text comes, in pieces of any size, file and digests are the same, and who watches sees all of it.
func TestWriter_ReadFrom(t *testing.T) {
	plain := text(9<<20 + 77)
	for _, codec := range []backupset.Codec{"", backupset.Gzip, backupset.Zstd} {
		t.Run("codec "+string(codec), func(t *testing.T) {
			want := store(t, filepath.Join(t.TempDir(), "dump"), codec, plain)
			for name, from := range map[string]io.Reader{"whole": bytes.NewReader(plain), "halves": iotest.HalfReader(bytes.NewReader(plain)), "end with data": iotest.DataErrReader(bytes.NewReader(plain))} {
				var seen bytes.Buffer
				path := filepath.Join(t.TempDir(), "dump")
				w, err := seal.Create(path, seal.Form{Codec: codec, Watch: &seen})
				require.NoError(t, err)
				n, err := io.Copy(w, struct{ io.Reader }{from})
				require.NoError(t, err, name)
				require.EqualValues(t, len(plain), n)
				r, err := w.Close()
				require.NoError(t, err)
				require.Equal(t, want.SHA256, r.SHA256, name)
				require.Equal(t, want.PlainSHA256, r.PlainSHA256, name)
				require.True(t, bytes.Equal(plain, seen.Bytes()), name)
				require.NoError(t, seal.Verify(t.Context(), open(t, path), want, nil))
			}
			w, err := seal.Create(filepath.Join(t.TempDir(), "dump"), seal.Form{Codec: codec})
			require.NoError(t, err)
			_, err = io.Copy(w, io.MultiReader(bytes.NewReader(plain), iotest.ErrReader(syscall.EIO)))
			require.ErrorIs(t, err, syscall.EIO)
			require.NoError(t, w.Abort())
		})
	}
}
