package seal

import (
	"bufio"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

// gzipReader reads a stream of gzip members.
type gzipReader struct {
	from   *bufio.Reader
	text   []byte // decoded and not read
	buffer []byte // where text lies
	full   *gzip.Reader
	inside bool // full is within a member
}

// The bytes of our own members, and of text in them, with room to spare.
const (
	memberLimit = gzipBlock + 64<<10
	memberAhead = 8 * memberLimit
)

func newGzipReader(from io.Reader) (*gzipReader, error) {
	r := &gzipReader{from: bufio.NewReaderSize(from, memberAhead), buffer: make([]byte, 0, memberLimit)}
	var err error
	if r.text, err = r.next(); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // no member at all
	}
	return r, err
}

// next decodes the next member, or gives it to the full decoder. io.EOF when there is none.
func (r *gzipReader) next() ([]byte, error) {
	if r.from.Buffered() < memberLimit { // Peek moves what is left to the front
		if _, err := r.from.Peek(memberAhead); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	ahead, _ := r.from.Peek(min(r.from.Buffered(), memberLimit))
	if len(ahead) == 0 {
		return nil, io.EOF
	}
	if text, size, ok := literalMember(r.buffer, ahead); ok {
		_, err := r.from.Discard(size)
		return text, err
	}
	var err error
	if r.full == nil {
		r.full, err = gzip.NewReader(r.from)
	} else {
		err = r.full.Reset(r.from)
	}
	if err != nil {
		return nil, err
	}
	r.full.Multistream(false)
	r.inside = true
	return nil, nil
}

// Read implements io.Reader.
func (r *gzipReader) Read(p []byte) (int, error) {
	for len(r.text) == 0 {
		if r.inside {
			n, err := r.full.Read(p)
			if r.inside = !errors.Is(err, io.EOF); !r.inside {
				err = nil
			}
			if n > 0 || err != nil {
				return n, err
			}
			if r.inside {
				continue
			}
		}
		var err error
		if r.text, err = r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.text)
	r.text = r.text[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *gzipReader) Close() error { return nil }
