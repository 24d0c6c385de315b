package seal

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipBlock is the text that one gzip member holds. Smaller ones cost bytes: each begins with an empty window.
const gzipBlock = 1 << 20

// gzipLevel writes no more than the customer's `gzip` (level 6) does of any text that repeats, at an eighth of its work: lower levels write up to a
// twelfth more (docs/decisions/0002-compression.md).
const gzipLevel = 5

// searchable is how much a quick search for repetitions leaves, at most, of text that is worth a longer one. Of random bytes in hex it leaves half.
const searchable = 0.45

// newGzipWriter packs each block as a search for repetitions does it, or, where there are none, by Huffman codes alone. A dump is mostly bytea in hex:
// half of it is air, but a search finds no match in it, takes long, and gives up.
func newGzipWriter(to io.Writer, workers int) *blockWriter {
	var searching, literal, tasting gzipPool
	searching.level, literal.level, tasting.level = gzipLevel, gzip.HuffmanOnly, gzip.BestSpeed
	return newBlockWriter(to, gzipBlock, 2*workers, func(dst, block []byte) []byte {
		if taste := sample(block); float64(len(tasting.pack(dst, taste))) > searchable*float64(len(taste)) {
			return literal.pack(dst, block)
		}
		return searching.pack(dst, block)
	})
}

// sample is a few pieces of a block, side by side: tables change within one.
func sample(block []byte) []byte {
	const pieces, size = 4, 16 << 10
	if len(block) <= pieces*size {
		return block
	}
	taken := make([]byte, 0, pieces*size)
	for i := range pieces {
		at := i * (len(block) - size) / (pieces - 1)
		taken = append(taken, block[at:at+size]...)
	}
	return taken
}

// gzipPool reuses writers of one level: each holds large tables.
type gzipPool struct {
	level int
	idle  sync.Pool
}

// pack appends a member to dst.
func (p *gzipPool) pack(dst, text []byte) []byte {
	out := bytes.NewBuffer(dst)
	w, ok := p.idle.Get().(*gzip.Writer)
	if ok {
		w.Reset(out)
	} else {
		var err error
		if w, err = gzip.NewWriterLevel(out, p.level); err != nil {
			panic(err) // the level is one of the constants above
		}
	}
	defer p.idle.Put(w)
	_, _ = w.Write(text) // a bytes.Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}
