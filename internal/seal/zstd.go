package seal

import (
	"io"

	"github.com/klauspost/compress/zstd"

	"canton-backup/internal/backupset"
)

// zstdBlock is the text that one zstd frame holds: one hundredth more bytes than one frame for all, and a sixth less work.
const zstdBlock = 4 << 20

// zstdWriter packs each block as a frame, with the level that the dial shows.
type zstdWriter struct {
	*blockWriter
	dial     *dial
	encoders []*zstd.Encoder // of the dial's levels
	tasted   []byte
}

func newZstdWriter(to io.Writer, workers int, levels backupset.Levels) (*zstdWriter, error) {
	w := &zstdWriter{dial: newDial(levels, workers)}
	for _, level := range w.dial.levels {
		// Entropy coding always: without it the fastest level stores hex text as it is.
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithAllLitEntropyCompression(true),
			zstd.WithEncoderConcurrency(workers), zstd.WithWindowSize(zstdBlock))
		if err != nil {
			return nil, err
		}
		w.encoders = append(w.encoders, encoder)
	}
	w.blockWriter = newBlockWriter(to, zstdBlock, workers, func(dst, block []byte) []byte {
		return w.encoders[w.dial.turn(block, w.taste)].EncodeAll(block, dst)
	})
	return w, nil
}

// taste packs a piece of text with one of the levels, and returns the bytes that it takes. The dial asks once at a time.
func (w *zstdWriter) taste(level int, piece []byte) int {
	w.tasted = w.encoders[level].EncodeAll(piece, w.tasted[:0])
	return len(w.tasted)
}
