package sqltext

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrCut: the text ends in the middle of a table's rows.
var ErrCut = errors.New("text ends within the rows of a table")

// ErrCommand: the text holds a command to psql itself, which pg_dump does not write: it could connect to another database, or run a program.
var ErrCommand = errors.New("text holds a command to psql")

const (
	blockSize = 1 << 20 // of rows that go to one session at a time
	textLimit = 64 << 20
)

// Splitter takes the text of a dump apart, so that several sessions can load its rows at the same time: what comes before the rows, the rows,
// and what comes after them. Use it in this order: Before, Rows, After.
type Splitter struct {
	text   io.Reader
	buf    []byte // unread text
	ended  bool
	header []byte    // COPY line of the table whose rows come next
	rest   []byte    // what stands between and after the tables
	spare  sync.Pool // of []byte as pointers: buffers of blocks that are done
}

// NewSplitter begins a dump.
func NewSplitter(text io.Reader) *Splitter { return &Splitter{text: text} }

// Block is some rows of one table.
type Block struct {
	Header []byte // "COPY table (columns) FROM stdin;\n"
	Rows   []byte // whole lines
	Part   int    // which block of its table this is, the first is 0

	spare *sync.Pool
}

// Done gives the rows' memory to a later block. Fresh memory for all of a dump costs a tenth of what reading it takes.
func (b Block) Done() {
	if b.spare != nil && cap(b.Rows) >= blockSize {
		b.spare.Put(&b.Rows)
	}
}

// Target is what the rows are copied to: "table (columns)", as the dump writes it.
func (b Block) Target() string {
	return string(bytes.TrimSuffix(bytes.TrimPrefix(bytes.TrimSuffix(b.Header, newline), copyHead), copyTail))
}

// Before returns the text before the first row, and of it the lines that set up a session: every session that loads needs them.
func (s *Splitter) Before() (text, setup []byte, err error) {
	if err := s.outside(&text); err != nil {
		return nil, nil, err
	}
	for line := range bytes.Lines(text) {
		for _, beginning := range []string{`\restrict `, "SET ", "SELECT pg_catalog.set_config("} {
			if bytes.HasPrefix(line, []byte(beginning)) {
				setup = append(setup, line...)
			}
		}
	}
	return text, setup, nil
}

// Rows hands out all rows in blocks, through the channel, and closes it. ErrCut when the text ends too early.
func (s *Splitter) Rows(ctx context.Context, blocks chan<- Block) error {
	defer close(blocks)
	for s.header != nil {
		more := true
		for part := 0; more; part++ {
			rows, again, err := s.block()
			if err != nil {
				return err
			}
			if more = again; len(rows) == 0 {
				continue
			}
			select {
			case blocks <- Block{Header: s.header, Rows: rows, Part: part, spare: &s.spare}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		s.header = nil
		if err := s.outside(&s.rest); err != nil {
			return err
		}
	}
	return nil
}

// After returns the text between and behind the tables: sequences, indexes, constraints.
func (s *Splitter) After() []byte { return s.rest }

// outside reads lines up to and with the next COPY line, or to the end, and appends all but that one to text.
func (s *Splitter) outside(text *[]byte) error {
	for {
		line, err := s.line()
		if errors.Is(err, io.EOF) {
			*text = append(*text, line...)
			return nil
		}
		if err != nil {
			return err
		}
		if _, isCopy := copies(bytes.TrimSuffix(line, newline)); isCopy {
			s.header = bytes.Clone(line)
			return nil
		}
		if len(line) > 0 && line[0] == '\\' && !bytes.HasPrefix(line, []byte(`\restrict `)) && !bytes.HasPrefix(line, []byte(`\unrestrict `)) {
			return fmt.Errorf("split dump: %w: %.60q", ErrCommand, line)
		}
		if *text = append(*text, line...); len(*text) > textLimit {
			return fmt.Errorf("split dump: more than %d MB of text that is no rows", textLimit>>20)
		}
	}
}

// line returns the next line with its end, io.EOF with what is left when there is none. It is valid until the next read.
func (s *Splitter) line() ([]byte, error) {
	for from := 0; ; {
		if end := bytes.IndexByte(s.buf[from:], '\n'); end >= 0 {
			line := s.buf[:from+end+1]
			s.buf = s.buf[from+end+1:]
			return line, nil
		}
		from = len(s.buf)
		if err := s.fill(); err != nil {
			line := s.buf
			if errors.Is(err, io.EOF) {
				s.buf = nil
			}
			return line, err
		}
	}
}

var (
	endOfRows   = []byte("\\.\n")
	nextCopyEnd = []byte("\n\\.")
)

// block returns whole rows, in memory that is the caller's, and whether more may follow; the line that ends the rows is taken, not returned.
func (s *Splitter) block() (rows []byte, more bool, err error) {
	for want := blockSize; ; want *= 2 { // a long row is not looked through at each read
		for len(s.buf) < want && err == nil {
			err = s.fill()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, false, err
		}
		end, last, wrong := s.rowsEnd()
		switch {
		case wrong != nil:
			return nil, false, wrong
		case last:
			return s.cut(end, end+len(endOfRows)), false, nil
		case end > 0:
			return s.cut(end, end), true, nil
		case err != nil:
			return nil, false, fmt.Errorf("split dump: %w", ErrCut)
		}
	}
}

// cut takes the unread text up to end. What lies from next on, mostly a piece of a row, moves to another buffer.
func (s *Splitter) cut(end, next int) (rows []byte) {
	rows, s.buf = s.buf[:end], append(s.empty(len(s.buf)-next), s.buf[next:]...)
	return rows
}

// empty is a buffer with room for a block and so much more.
func (s *Splitter) empty(more int) []byte {
	if spare, ok := s.spare.Get().(*[]byte); ok && cap(*spare) >= more+blockSize/8 {
		return (*spare)[:0]
	}
	return make([]byte, 0, 2*blockSize+2*more)
}

// rowsEnd finds where the whole rows in the buffer end, and whether the line that ends the table stands there. No row begins as that line
// does: the server writes a backslash in a row as two. psql would take such a line for the end as well, carriage return and all, and
// what follows for commands.
func (s *Splitter) rowsEnd() (end int, last bool, err error) {
	if bytes.HasPrefix(s.buf, copyEnd) {
		end = 0
	} else if end = bytes.Index(s.buf, nextCopyEnd) + 1; end == 0 {
		// The buffer may end within that line; what is left of it comes with the next fill.
		return bytes.LastIndexByte(s.buf, '\n') + 1, false, nil
	}
	rest := s.buf[end:]
	if bytes.HasPrefix(rest, endOfRows) {
		return end, true, nil
	}
	if len(rest) < len(endOfRows) {
		return end, false, nil
	}
	return 0, false, fmt.Errorf("split dump: %w: a row begins with %.20q", ErrCommand, rest)
}

// fill reads more text behind what is unread. io.EOF when there is no more.
func (s *Splitter) fill() error {
	if s.ended {
		return io.EOF
	}
	if cap(s.buf)-len(s.buf) < blockSize/8 { // a long row, or lines that were read before it
		s.buf = append(s.empty(len(s.buf)), s.buf...)
	}
	n, err := s.text.Read(s.buf[len(s.buf):cap(s.buf)])
	s.buf = s.buf[:len(s.buf)+n]
	if errors.Is(err, io.EOF) {
		s.ended = true
		if n > 0 {
			return nil
		}
	}
	if n == 0 && err == nil {
		return s.fill()
	}
	return err
}
