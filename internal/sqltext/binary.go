package sqltext

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
)

// Columns turns rows of COPY's text format into its binary format, which the server reads several times as fast: half the bytes, no
// lines to find, no hexadecimal digits to decode. An element is the encoder of one column.
//
// Source: "Text Format" and "Binary Format" in https://www.postgresql.org/docs/current/sql-copy.html.
type Columns []encoder

// encoder appends a field's binary value to dst; field is its text as the server wrote it, escapes included. False when that has a shape
// that the encoder does not know.
type encoder func(dst, field []byte) ([]byte, bool)

// encoders by the type's name in pg_catalog. A type that is not here is for the server to read.
var encoders = map[string]encoder{
	"bytea":   appendBytea,
	"text":    appendText,
	"varchar": appendText,
	"jsonb":   appendJSONB,
	"bool":    appendBool,
	"int2":    appendInt(16),
	"int4":    appendInt(32),
	"int8":    appendInt(64),
}

// ColumnsOf returns the encoders of a table whose columns have these types, and whether it is worth it: all types are known, and there
// is a bytea, whose text is twice its size.
func ColumnsOf(types []string) (Columns, bool) {
	columns := make(Columns, len(types))
	for i, name := range types {
		known := false
		if columns[i], known = encoders[name]; !known {
			return nil, false
		}
	}
	return columns, slices.Contains(types, "bytea")
}

// BinaryBegin is what the binary format begins with, BinaryEnd what it ends with.
var (
	BinaryBegin = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	BinaryEnd   = []byte{0xff, 0xff}
)

var null = []byte(`\N`)

// Append appends whole rows to dst in the binary format. False when one of them has a shape that it does not know; dst is of no use then.
func (c Columns) Append(dst, rows []byte) ([]byte, bool) {
	for len(rows) > 0 {
		end := bytes.IndexByte(rows, '\n')
		if end < 0 {
			return nil, false
		}
		row := rows[:end]
		rows = rows[end+1:]
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(c)))
		for i, encode := range c {
			field := row
			switch tab := bytes.IndexByte(row, '\t'); {
			case tab >= 0:
				field, row = row[:tab], row[tab+1:]
				if i == len(c)-1 {
					return nil, false // a field too many
				}
			case i < len(c)-1:
				return nil, false // a field too few
			}
			if bytes.Equal(field, null) {
				dst = binary.BigEndian.AppendUint32(dst, 0xffffffff)
				continue
			}
			at := len(dst)
			value, ok := encode(append(dst, 0, 0, 0, 0), field)
			if !ok {
				return nil, false
			}
			dst = value
			binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
		}
	}
	return dst, true
}

var byteaHex = []byte(`\\x`)

func appendBytea(dst, field []byte) ([]byte, bool) {
	digits, isHex := bytes.CutPrefix(field, byteaHex) // else the server has bytea_output = escape
	if !isHex {
		return nil, false
	}
	dst = slices.Grow(dst, len(digits)/2)
	n, err := hex.Decode(dst[len(dst):len(dst)+len(digits)/2], digits)
	return dst[:len(dst)+n], err == nil
}

// escapes are those that the server writes.
var escapes = [256]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v', '\\': '\\'}

func appendText(dst, field []byte) ([]byte, bool) {
	for {
		at := bytes.IndexByte(field, '\\')
		if at < 0 {
			return append(dst, field...), true
		}
		if at+1 == len(field) || escapes[field[at+1]] == 0 {
			return nil, false
		}
		dst = append(append(dst, field[:at]...), escapes[field[at+1]])
		field = field[at+2:]
	}
}

// appendJSONB: a version before the text.
func appendJSONB(dst, field []byte) ([]byte, bool) { return appendText(append(dst, 1), field) }

func appendBool(dst, field []byte) ([]byte, bool) {
	switch string(field) {
	case "t":
		return append(dst, 1), true
	case "f":
		return append(dst, 0), true
	}
	return nil, false
}

func appendInt(bits int) encoder {
	return func(dst, field []byte) ([]byte, bool) {
		n, err := strconv.ParseInt(string(field), 10, bits)
		var raw [8]byte
		binary.BigEndian.PutUint64(raw[:], uint64(n))
		return append(dst, raw[8-bits/8:]...), err == nil
	}
}
