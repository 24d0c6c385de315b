// Package sqltext reads the SQL text that pg_dump writes, as it streams by: which tables it holds, how many rows of each, and digests by
// which the text of a restored copy can be compared with it.
package sqltext

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math/bits"

	"github.com/zeebo/xxh3"

	"canton-backup/internal/backupset"
)

// headLimit bounds what is kept of a line outside the rows: the lines that mean something to us are shorter.
const headLimit = 16 << 10

var (
	copyHead = []byte("COPY ")
	copyTail = []byte(" FROM stdin;")
	copyEnd  = []byte(`\.`)
	newline  = []byte("\n")
)

// changing are the beginnings of lines that differ from dump to dump of the same contents (domain 4.5): a random word, and the
// versions of server and client.
var changing = [][]byte{[]byte(`\restrict `), []byte(`\unrestrict `), []byte("-- Dumped from database version "), []byte("-- Dumped by pg_dump version ")}

// Reader takes the text of one dump through Write and sums up what it holds. Rows are summed without regard to their order, since a restored
// table need not keep it (small rows fill holes of earlier pages). Memory does not grow with the dump, rows may be of any length.
type Reader struct {
	schema   hash.Hash
	contents backupset.Contents
	table    *sum // whose rows are read now, nil outside of them

	head   []byte      // the beginning of the line that has begun
	length int         // of that line so far
	row    xxh3.Hasher // of that line, when it is a row
}

// sum is the sum of the hashes of a table's rows, modulo 2^128. It tells copies that differ by accident from equal ones; against forgery the
// manifest has SHA-256.
type sum struct {
	name   string
	rows   int64
	hi, lo uint64
}

func (s *sum) add(h xxh3.Uint128) {
	var carry uint64
	s.rows++
	s.lo, carry = bits.Add64(s.lo, h.Lo, 0)
	s.hi, _ = bits.Add64(s.hi, h.Hi, carry)
}

func (s *sum) table() backupset.Table {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], s.hi)
	binary.BigEndian.PutUint64(raw[8:], s.lo)
	return backupset.Table{Name: s.name, Rows: s.rows, Sum: hex.EncodeToString(raw[:])}
}

// NewReader begins a dump.
func NewReader() *Reader { return &Reader{schema: sha256.New()} }

// Write implements io.Writer. It never fails.
func (r *Reader) Write(p []byte) (int, error) {
	taken := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			r.begin(p)
			return taken, nil
		}
		r.line(p[:end])
		p = p[end+1:]
	}
	return taken, nil
}

// begin takes a piece of a line whose end is not there yet.
func (r *Reader) begin(piece []byte) {
	r.head = append(r.head, piece[:min(len(piece), headLimit-len(r.head))]...)
	r.length += len(piece)
	if r.table != nil {
		_, _ = r.row.Write(piece) // a hash takes everything
	} else if r.length > len(r.head) {
		r.schema.Write(piece[len(piece)-min(len(piece), r.length-len(r.head)):])
	}
}

// line takes the rest of a line.
func (r *Reader) line(rest []byte) {
	if r.length == 0 && r.table != nil { // the whole row in one piece: by far the most frequent case
		if bytes.Equal(rest, copyEnd) {
			r.endTable()
		} else {
			r.table.add(xxh3.Hash128(rest))
		}
		return
	}
	r.begin(rest)
	switch {
	case r.table == nil:
		r.statement()
	case r.length == len(copyEnd) && bytes.Equal(r.head, copyEnd):
		r.endTable()
	default:
		r.table.add(r.row.Sum128())
	}
	r.head, r.length = r.head[:0], 0
	r.row.Reset()
}

// statement takes a complete line outside the rows.
func (r *Reader) statement() {
	long := r.length > len(r.head)
	if !long {
		for _, beginning := range changing {
			if bytes.HasPrefix(r.head, beginning) {
				return
			}
		}
		if name, ok := copies(r.head); ok {
			r.table = &sum{name: name}
		}
		r.schema.Write(r.head)
	} else {
		// Its rest went into the digest before its beginning; the same happens to the same line of the other dump.
		r.schema.Write(r.head)
	}
	r.schema.Write(newline)
}

// copies returns the table whose rows follow the line `COPY schema.table (columns) FROM stdin;`.
func copies(line []byte) (string, bool) {
	if !bytes.HasPrefix(line, copyHead) || !bytes.HasSuffix(line, copyTail) {
		return "", false
	}
	name := line[len(copyHead) : len(line)-len(copyTail)]
	if columns := bytes.LastIndex(name, []byte(" (")); columns >= 0 {
		name = name[:columns]
	}
	return string(name), true
}

func (r *Reader) endTable() {
	r.contents.Tables = append(r.contents.Tables, r.table.table())
	r.table = nil
}

// Contents is what the text held, after its last Write.
func (r *Reader) Contents() *backupset.Contents {
	c := r.contents
	c.Schema = hex.EncodeToString(r.schema.Sum(nil))
	return &c
}
