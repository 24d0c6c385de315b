package sqltext

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	spare  []byte // where buf begins to be filled
	ended  bool
	header []byte // COPY line of the table whose rows come next
	rest   []byte // what stands between and after the tables
}

// NewSplitter begins a dump.
func NewSplitter(text io.Reader) *Splitter { return &Splitter{text: text} }

// Block is some rows of one table.
type Block struct {
	Header []byte // "COPY table (columns) FROM stdin;\n"
	Rows   []byte // whole lines
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
		for more {
			rows, again, err := s.block()
			if err != nil {
				return err
			}
			if more = again; len(rows) == 0 {
				continue
			}
			select {
			case blocks <- Block{Header: s.header, Rows: rows}:
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

var endOfRows = []byte("\\.\n")

// block returns whole rows, in memory of their own, and whether more may follow; the line that ends the rows is taken, not returned.
func (s *Splitter) block() (rows []byte, more bool, err error) {
	for {
		end, last := s.rowsEnd()
		if last {
			rows = bytes.Clone(s.buf[:end])
			s.buf = s.buf[end+len(endOfRows):]
			return rows, false, nil
		}
		if end >= blockSize/2 {
			rows = bytes.Clone(s.buf[:end])
			s.buf = s.buf[end:]
			return rows, true, nil
		}
		if err := s.fill(); errors.Is(err, io.EOF) {
			return nil, false, fmt.Errorf("split dump: %w", ErrCut)
		} else if err != nil {
			return nil, false, err
		}
	}
}

// rowsEnd finds where the whole rows in the buffer end, and whether the line that ends the table stands there.
func (s *Splitter) rowsEnd() (end int, last bool) {
	if bytes.HasPrefix(s.buf, endOfRows) {
		return 0, true
	}
	if at := bytes.Index(s.buf, []byte("\n\\.\n")); at >= 0 {
		return at + 1, true
	}
	// A row may begin like the last line, and the rest of it not be here yet; cut before it.
	return bytes.LastIndexByte(s.buf, '\n') + 1, false
}

// fill reads more text behind what is unread. io.EOF when there is no more.
func (s *Splitter) fill() error {
	if s.ended {
		return io.EOF
	}
	if cap(s.buf)-len(s.buf) < blockSize/2 { // the unread part moves to the front of a buffer that has room
		need := len(s.buf) + blockSize
		if cap(s.spare) < need || len(s.buf) > 0 && &s.buf[0] == &s.spare[:1][0] {
			s.spare = make([]byte, 0, 2*need)
		}
		s.buf = append(s.spare[:0], s.buf...)
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
