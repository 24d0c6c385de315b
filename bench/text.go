package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
)

// dumpText is the SQL text of a dump.
type dumpText struct {
	bytes int64
	sum   string // without the lines that differ from dump to dump
}

// pg_dump puts a random word into these two lines of each dump.
var changing = [][]byte{[]byte(`\restrict `), []byte(`\unrestrict `)}

// readText digests what a command prints.
func readText(ctx context.Context, cmd *exec.Cmd) (dumpText, error) {
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	text, err := cmd.StdoutPipe()
	if err != nil {
		return dumpText{}, err
	}
	if err := cmd.Start(); err != nil {
		return dumpText{}, err
	}
	hash := sha256.New()
	found := dumpText{}
	lines := bufio.NewReaderSize(text, 1<<20) // longer than any line of the node's data
	for {
		line, err := lines.ReadSlice('\n')
		found.bytes += int64(len(line))
		if !slices.ContainsFunc(changing, func(word []byte) bool { return bytes.HasPrefix(line, word) }) {
			hash.Write(line)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			_ = cmd.Process.Kill() // it may have ended
			return dumpText{}, errors.Join(err, cmd.Wait())
		}
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return dumpText{}, fmt.Errorf("run %s: %w: %s", cmd.Path, err, bytes.TrimSpace(complaint.Bytes()))
	}
	found.sum = hex.EncodeToString(hash.Sum(nil))
	return found, nil
}
