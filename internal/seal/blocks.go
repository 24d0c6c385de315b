package seal

import (
	"errors"
	"io"
	"sync"
)

// blockWriter cuts text into blocks, packs several of them side by side, and writes them in order. A packed block is a file of its codec by itself: a gzip
// member, a zstd frame. All tools read a row of them as one file (RFC 1952, section 2.2; RFC 8878, section 3.1).
type blockWriter struct {
	size  int                            // of a block of text
	pack  func(dst, block []byte) []byte // appends to dst
	block []byte                         // what is filled now
	queue chan chan []byte               // packed blocks in order; its capacity bounds the memory
	texts sync.Pool                      // of *[]byte, blocks to fill
	packs sync.Pool                      // of *[]byte, to pack into
	ended chan struct{}

	mu     sync.Mutex
	err    error // first failure of the writer behind us
	closed bool
}

// newBlockWriter packs at most ahead blocks side by side.
func newBlockWriter(to io.Writer, size, ahead int, pack func(dst, block []byte) []byte) *blockWriter {
	w := &blockWriter{size: size, pack: pack, queue: make(chan chan []byte, ahead), ended: make(chan struct{})}
	w.texts.New = func() any { b := make([]byte, 0, size); return &b }
	w.packs.New = func() any { return new([]byte) }
	w.block = w.empty()
	go func() {
		defer close(w.ended)
		for packed := range w.queue {
			data := <-packed
			if w.failed() == nil {
				if _, err := to.Write(data); err != nil {
					w.mu.Lock()
					w.err = err
					w.mu.Unlock()
				}
			}
			w.packs.Put(&data)
		}
	}()
	return w
}

func (w *blockWriter) empty() []byte { return (*w.texts.Get().(*[]byte))[:0] }

func (w *blockWriter) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Write implements io.Writer.
func (w *blockWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := copy(w.room(), p)
		if err := w.filled(n); err != nil {
			return written, err
		}
		p, written = p[n:], written+n
	}
	return written, nil
}

// room is where the next text may be put; filled takes what was put there. So a reader's text is copied nowhere on its way.
func (w *blockWriter) room() []byte { return w.block[len(w.block):w.size] }

func (w *blockWriter) filled(n int) error {
	if err := w.failed(); err != nil {
		return err
	}
	w.block = w.block[:len(w.block)+n]
	if len(w.block) == w.size {
		w.submit()
	}
	return nil
}

func (w *blockWriter) submit() {
	full := w.block
	w.block = w.empty()
	packed := make(chan []byte, 1)
	w.queue <- packed
	go func() {
		packed <- w.pack((*w.packs.Get().(*[]byte))[:0], full)
		w.texts.Put(&full)
	}()
}

// Close writes the last block. An empty stream still is a valid file of its codec.
func (w *blockWriter) Close() error {
	if w.closed {
		return errors.New("stream is closed")
	}
	w.closed = true
	w.submit()
	close(w.queue)
	<-w.ended
	return w.failed()
}
