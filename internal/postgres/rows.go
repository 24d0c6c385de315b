package postgres

import (
	"bytes"
	"io"

	"canton-backup/internal/sqltext"
)

// rowsLoader gives blocks of rows to one psql: one COPY for as long as its blocks are of one table and can be given in one format.
type rowsLoader struct {
	input   *psqlInput
	columns map[string]sqltext.Columns // by Block.Target

	header []byte         // of the COPY that runs, nil without one
	pipe   io.WriteCloser // through which it gets binary rows, nil when it gets text
	buffer []byte
}

// load runs setup, then takes blocks until there are no more.
func (r *rowsLoader) load(setup []byte, blocks <-chan sqltext.Block) error {
	defer func() {
		if r.pipe != nil {
			_ = r.pipe.Close() // something else failed
		}
	}()
	if _, err := r.input.Write(setup); err != nil {
		return err
	}
	for block := range blocks {
		err := r.give(block)
		block.Done()
		if err != nil {
			return err
		}
	}
	return r.end()
}

func (r *rowsLoader) give(b sqltext.Block) error {
	// The first block of a table goes as text: most tables have no other, and a pipe for each of them would cost more than it gains.
	columns, asBinary := r.columns[b.Target()]
	if asBinary = asBinary && b.Part > 0; asBinary {
		r.buffer, asBinary = columns.Append(r.buffer[:0], b.Rows)
	}
	if !bytes.Equal(b.Header, r.header) || asBinary != (r.pipe != nil) {
		if err := r.end(); err != nil {
			return err
		}
		if err := r.begin(b, asBinary); err != nil {
			return err
		}
	}
	var err error
	if asBinary {
		_, err = r.pipe.Write(r.buffer)
	} else {
		_, err = r.input.Write(b.Rows)
	}
	return err
}

func (r *rowsLoader) begin(b sqltext.Block, asBinary bool) (err error) {
	r.header = b.Header
	if !asBinary {
		_, err = r.input.Write(b.Header)
		return err
	}
	path, open, err := r.input.pipe()
	if err != nil {
		return err
	}
	if _, err := r.input.Write([]byte("\\copy " + b.Target() + " from '" + path + "' with (format binary)\n")); err != nil {
		return err
	}
	if r.pipe, err = open(); err != nil {
		return err
	}
	_, err = r.pipe.Write(sqltext.BinaryBegin)
	return err
}

// end ends the COPY that runs.
func (r *rowsLoader) end() error {
	if r.header == nil {
		return nil
	}
	r.header = nil
	if r.pipe == nil {
		_, err := r.input.Write([]byte("\\.\n"))
		return err
	}
	pipe := r.pipe
	r.pipe = nil
	if _, err := pipe.Write(sqltext.BinaryEnd); err != nil {
		return err
	}
	return pipe.Close()
}
