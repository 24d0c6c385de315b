package seal

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

// gzipReader reads a stream of gzip members.
type gzipReader struct {
	from   *bufio.Reader
	member io.Reader // what is left of this member's text: text or full
	text   bytes.Reader
	buffer []byte // where text lies
	full   gzip.Reader
}

// The bytes of our own members, and of text in them, with room to spare.
const (
	memberLimit = gzipBlock + 64<<10
	memberAhead = 8 * memberLimit
)

func newGzipReader(from io.Reader) (*gzipReader, error) {
	r := &gzipReader{from: bufio.NewReaderSize(from, memberAhead), buffer: make([]byte, 0, memberLimit)}
	err := r.next()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // no member at all
	}
	return r, err
}

// next decodes the next member, or gives it to the full decoder. io.EOF when there is none.
func (r *gzipReader) next() error {
	if r.from.Buffered() < memberLimit { // Peek moves what is left to the front
		if _, err := r.from.Peek(memberAhead); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	ahead, _ := r.from.Peek(min(r.from.Buffered(), memberLimit))
	if len(ahead) == 0 {
		return io.EOF
	}
	if text, size, ok := literalMember(r.buffer, ahead); ok {
		r.text.Reset(text)
		r.member = &r.text
		_, err := r.from.Discard(size)
		return err
	}
	if err := r.full.Reset(r.from); err != nil {
		return err
	}
	r.full.Multistream(false)
	r.member = &r.full
	return nil
}

// Read implements io.Reader.
func (r *gzipReader) Read(p []byte) (int, error) {
	for {
		n, err := r.member.Read(p)
		switch {
		case !errors.Is(err, io.EOF):
			return n, err
		case n > 0:
			return n, nil
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
}

// Close implements io.Closer.
func (r *gzipReader) Close() error { return nil }
