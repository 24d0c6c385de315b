package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func seeded(seed byte) *writer { return newWriter(rand.NewChaCha8([32]byte{seed})) }

func TestSharesOf(t *testing.T) {
	for word, want := range map[string][]share{"text": {{kindText, 100}}, "hex": {{kindHex, 100}}, "random": {{kindRandom, 100}}, "mixed": mixture} {
		got, err := sharesOf(word)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := sharesOf("")
	require.Error(t, err)
	whole := int64(0)
	for _, s := range mixture {
		whole += s.percent
	}
	require.EqualValues(t, 100, whole)
}

func TestWriter_SameSeedSameData(t *testing.T) {
	first, again, other := seeded(1), seeded(1), seeded(2)
	require.Equal(t, first.document(), again.document())
	require.Equal(t, first.message(), again.message())
	require.NotEqual(t, first.message(), other.message())
	require.True(t, json.Valid([]byte(first.document())))
}

// Of structured messages about half are hashes and signatures; gzip cannot make less of those.
func TestWriter_Kinds(t *testing.T) {
	packs := func(k kind) float64 {
		w := seeded(1)
		var text, packed bytes.Buffer
		for text.Len() < 1<<20 {
			if k == kindText {
				text.WriteString(w.document())
			} else {
				text.WriteString(hex.EncodeToString(w.blob(k, eventBytes)))
			}
		}
		size := text.Len()
		z := gzip.NewWriter(&packed)
		_, err := text.WriteTo(z)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		return float64(packed.Len()) / float64(size)
	}
	require.Less(t, packs(kindText), 0.2)
	require.InDelta(t, 0.3, packs(kindHex), 0.07)
	require.Greater(t, packs(kindRandom), 0.5)
}

func TestCopied(t *testing.T) {
	require.EqualValues(t, len("12\t\\\\x0aff\tname\tf\n"), copied([]any{int64(12), []byte{10, 255}, "name", "f"}))
}
