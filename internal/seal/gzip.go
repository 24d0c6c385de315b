package seal

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipBlock is the text that one gzip member holds. Small enough that a table of random bytes and a table of text seldom
// share one, large enough that the 32 KiB window is rarely cold.
const gzipBlock = 256 << 10

// gzipWriter writes a stream of gzip members, which gunzip reads as one file, and compresses them on several processors.
// Every block is compressed as fast matching can do it, and where that finds little to match also by Huffman codes alone; the smaller
// one is kept. A dump is mostly bytea in hex: half of it is air, but matching alone finds no match in it and gives up
// (docs/decisions/0002-compression.md).
type gzipWriter struct {
	block []byte
	queue chan chan *bytes.Buffer // compressed blocks in order; its capacity bounds the memory
	spare sync.Pool               // of *[]byte, blocks to fill
	ended chan struct{}

	mu     sync.Mutex
	err    error // first failure of the writer behind us
	closed bool
}

func newGzipWriter(to io.Writer, workers int) *gzipWriter {
	w := &gzipWriter{block: make([]byte, 0, gzipBlock), queue: make(chan chan *bytes.Buffer, 4*workers), ended: make(chan struct{})}
	w.spare.New = func() any { b := make([]byte, 0, gzipBlock); return &b }
	go func() {
		defer close(w.ended)
		for member := range w.queue {
			data := <-member
			if w.failed() == nil {
				if _, err := to.Write(data.Bytes()); err != nil {
					w.mu.Lock()
					w.err = err
					w.mu.Unlock()
				}
			}
			members.Put(data)
		}
	}()
	return w
}

func (w *gzipWriter) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *gzipWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if err := w.failed(); err != nil {
			return written, err
		}
		n := min(len(p), gzipBlock-len(w.block))
		w.block = append(w.block, p[:n]...)
		p, written = p[n:], written+n
		if len(w.block) == gzipBlock {
			w.submit()
		}
	}
	return written, nil
}

func (w *gzipWriter) submit() {
	full := w.block
	w.block = (*w.spare.Get().(*[]byte))[:0]
	member := make(chan *bytes.Buffer, 1)
	w.queue <- member
	go func() {
		member <- compressBlock(full)
		w.spare.Put(&full)
	}()
}

// Close writes the last member. An empty stream still is a valid gzip file.
func (w *gzipWriter) Close() error {
	if w.closed {
		return errors.New("gzip stream is closed")
	}
	w.closed = true
	w.submit()
	close(w.queue)
	<-w.ended
	return w.failed()
}

// Writers of one level are reused: each holds large tables. So are the buffers that take their members: new ones for every block
// cost a tenth of the compressor's time.
var (
	matching = sync.Pool{New: func() any { return newMember(gzip.BestSpeed) }}
	huffman  = sync.Pool{New: func() any { return newMember(gzip.HuffmanOnly) }}
	members  = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

func newMember(level int) *gzip.Writer {
	w, err := gzip.NewWriterLevel(io.Discard, level)
	if err != nil {
		panic(err) // the level is one of the two constants above
	}
	return w
}

// compressBlock returns a buffer that goes back to members.
func compressBlock(block []byte) *bytes.Buffer {
	best := compressWith(&matching, block)
	if best.Len()*100 > len(block)*45 {
		other := compressWith(&huffman, block)
		if other.Len() < best.Len() {
			best, other = other, best
		}
		members.Put(other)
	}
	return best
}

func compressWith(pool *sync.Pool, block []byte) *bytes.Buffer {
	w := pool.Get().(*gzip.Writer)
	defer pool.Put(w)
	out := members.Get().(*bytes.Buffer)
	out.Reset()
	w.Reset(out)
	_, _ = w.Write(block) // a bytes.Buffer takes everything
	_ = w.Close()
	return out
}
