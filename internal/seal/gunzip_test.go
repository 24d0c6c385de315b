package seal

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	fast "github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// kinds of text, and what a member of it is to our decoder.
func kinds() map[string][]byte {
	source := rand.NewChaCha8([32]byte{7})
	raw := make([]byte, 300<<10)
	_, _ = source.Read(raw)
	skewed := bytes.Repeat([]byte{'a'}, 60000)
	for i := range 250 { // rare letters get long codes
		skewed[i*97] = byte(i)
	}
	return map[string][]byte{
		"nothing": nil, "one letter": {'x'}, "one letter, often": bytes.Repeat([]byte{'x'}, 1000), "random": raw, "hexadecimal": []byte(hex.EncodeToString(raw)),
		"lines of hexadecimal": bytes.ReplaceAll([]byte(hex.EncodeToString(raw)), []byte("00"), []byte("\n\\\\x")), "text": []byte(strings.Repeat("INSERT INTO t;\n", 30000)), "skewed": skewed,
	}
}

func pack(t testing.TB, level int, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := fast.NewWriterLevel(&out, level)
	require.NoError(t, err)
	_, err = w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestLiteralMember(t *testing.T) {
	buffer := make([]byte, 0, 1<<20)
	for name, text := range kinds() {
		for _, level := range []int{fast.HuffmanOnly, fast.NoCompression} {
			packed := pack(t, level, text)
			got, size, ok := literalMember(buffer, append(packed, packed...)) // another member follows, as a rule
			require.True(t, ok, "%s, level %d", name, level)
			require.Equal(t, len(packed), size)
			require.True(t, bytes.Equal(text, got), name)
			_, _, ok = literalMember(make([]byte, 0, len(text)/2), append(packed, packed...))
			require.False(t, ok && len(text) > 1, "%s: more text than there is room for", name)
			for _, at := range []int{len(packed) / 2, len(packed) - 6, len(packed) - 2} {
				wrong := bytes.Clone(append(packed, packed...))
				wrong[at] ^= 4
				_, _, ok = literalMember(buffer, wrong)
				require.False(t, ok, "%s: bit of byte %d", name, at)
			}
		}
	}
	_, _, ok := literalMember(buffer, pack(t, fast.BestCompression, kinds()["text"]))
	require.False(t, ok, "matches are for the full decoder")
}

// Whatever the members are, and wherever the stream is cut or altered: the same text or an error, as from the library's decoder.
func TestGzipReader_AgreesWithTheLibrary(t *testing.T) {
	all := kinds()
	rapid.Check(t, func(t *rapid.T) {
		var stream bytes.Buffer
		for range rapid.IntRange(0, 5).Draw(t, "members") {
			text := all[rapid.SampledFrom([]string{"nothing", "one letter", "random", "hexadecimal", "lines of hexadecimal", "text", "skewed"}).Draw(t, "kind")]
			level := rapid.SampledFrom([]int{fast.HuffmanOnly, fast.NoCompression, 1, 6}).Draw(t, "level")
			w, _ := fast.NewWriterLevel(&stream, level)
			_, _ = w.Write(text[:rapid.IntRange(0, len(text)).Draw(t, "length")])
			if rapid.Bool().Draw(t, "flush") {
				_ = w.Flush()
				_, _ = w.Write(text)
			}
			_ = w.Close()
		}
		data := stream.Bytes()
		switch rapid.IntRange(0, 3).Draw(t, "harm") {
		case 1:
			data = data[:rapid.IntRange(0, len(data)).Draw(t, "cut")]
		case 2:
			if len(data) > 0 {
				data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			}
		}
		want, wantErr := library(data)
		var from io.Reader = bytes.NewReader(data)
		if rapid.Bool().Draw(t, "halves") {
			from = iotest.HalfReader(from)
		}
		var got []byte
		r, err := newGzipReader(from)
		if err == nil {
			got, err = io.ReadAll(r)
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, the library says %v", err, wantErr)
		}
		if err == nil && !bytes.Equal(got, want) {
			t.Fatal("another text")
		}
	})
}

func library(data []byte) ([]byte, error) {
	r, err := fast.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func FuzzLiteralMember(f *testing.F) {
	for _, text := range kinds() {
		f.Add(pack(f, fast.HuffmanOnly, text[:min(len(text), 2000)]))
	}
	buffer := make([]byte, 0, 1<<16)
	f.Fuzz(func(t *testing.T, data []byte) {
		text, size, ok := literalMember(buffer, data)
		if !ok {
			return
		}
		want, err := library(data[:size])
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, text))
	})
}

func BenchmarkGunzip(b *testing.B) {
	raw := make([]byte, 16<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(raw)
	var packed bytes.Buffer
	w := newGzipWriter(&packed, 2)
	_, _ = w.Write([]byte(hex.EncodeToString(raw)))
	require.NoError(b, w.Close())
	for name, open := range map[string]func(io.Reader) (io.Reader, error){
		"ours":      func(r io.Reader) (io.Reader, error) { return newGzipReader(r) },
		"klauspost": func(r io.Reader) (io.Reader, error) { return fast.NewReader(r) },
		"standard":  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(2 * int64(len(raw)))
			for b.Loop() {
				r, err := open(bytes.NewReader(packed.Bytes()))
				require.NoError(b, err)
				_, err = io.Copy(io.Discard, struct{ io.Reader }{r})
				require.NoError(b, err)
			}
		})
	}
}
