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
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// way is one way to make a dump file of the participant's database.
type way struct {
	name    string
	wallBar float64  // to the first way's time, 0 for none
	plain   int      // which of the ways is the same without encryption, 0 for none
	decoder []string // program that turns the file into text, nil when the way makes no file
	run     func(ctx context.Context, path string) error
}

// sample is one run of a way.
type sample struct {
	wall  time.Duration
	bytes int64
	cpu   cpu
}

// result is all counted runs of a way.
type result struct {
	way     way
	samples []sample
	text    int64 // bytes that the file decodes to
}

func (r result) each(f func(sample) time.Duration) []time.Duration {
	values := make([]time.Duration, len(r.samples))
	for i, s := range r.samples {
		values[i] = f(s)
	}
	return values
}

func (r result) wall() time.Duration {
	return median(r.each(func(s sample) time.Duration { return s.wall }))
}

func (r result) bytes() int64 {
	values := make([]int64, len(r.samples))
	for i, s := range r.samples {
		values[i] = s.bytes
	}
	return median(values)
}

// race runs all ways once to warm the caches and to prove that they make the same text, then the counted rounds, each in the opposite
// order of the one before, so that what drifts on the machine meets all alike.
func (r *rig) race(ctx context.Context, ways []way, rounds int, out io.Writer) ([]result, error) {
	results := make([]result, len(ways))
	digests := make([]string, len(ways))
	for round := range rounds + 1 {
		for i := range ways {
			if round%2 == 1 {
				i = len(ways) - 1 - i
			}
			w := ways[i]
			path := filepath.Join(r.dir, "dump")
			s, err := r.measure(ctx, w, path)
			if err != nil {
				return nil, fmt.Errorf("measure %s: %w", w.name, err)
			}
			fmt.Fprintf(out, "round %d: %-32s %5.1f s, load %s\n", round, w.name, s.wall.Seconds(), load())
			results[i].way = w
			if round > 0 {
				results[i].samples = append(results[i].samples, s)
			} else if w.decoder != nil {
				if results[i].text, digests[i], err = digest(ctx, w.decoder, path); err != nil {
					return nil, fmt.Errorf("read what %s wrote: %w", w.name, err)
				}
			}
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		}
	}
	for i, d := range digests {
		if ways[i].decoder != nil && d != digests[0] {
			return nil, fmt.Errorf("compare dumps: %s and %s hold different text", ways[i].name, ways[0].name)
		}
	}
	return results, nil
}

func (r *rig) measure(ctx context.Context, w way, path string) (sample, error) {
	unix.Sync() // the way before ours must not have its pages written in our time
	before, err := r.meter.read()
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	if err := w.run(ctx, path); err != nil {
		return sample{}, err
	}
	s := sample{wall: time.Since(start)}
	after, err := r.meter.read()
	if err != nil {
		return sample{}, err
	}
	s.cpu = after.since(before)
	if w.decoder == nil {
		return s, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return sample{}, err
	}
	s.bytes = info.Size()
	return s, nil
}

// pg_dump puts a random word into these two lines of each dump.
var changing = [][]byte{[]byte(`\restrict `), []byte(`\unrestrict `)}

// digest decodes a file with a stock tool and digests its text, without the lines that differ from dump to dump.
func digest(ctx context.Context, decoder []string, path string) (size int64, sum string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer file.Close()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, decoder[0], decoder[1:]...)
	cmd.Stdin, cmd.Stderr = file, &stderr
	text, err := cmd.StdoutPipe()
	if err != nil {
		return 0, "", err
	}
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	hash := sha256.New()
	lines := bufio.NewReaderSize(text, 1<<20) // longer than any line of the node's data
	for {
		line, err := lines.ReadSlice('\n')
		size += int64(len(line))
		if !slices.ContainsFunc(changing, func(word []byte) bool { return bytes.HasPrefix(line, word) }) {
			hash.Write(line)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, "", errors.Join(err, cmd.Wait())
		}
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return 0, "", fmt.Errorf("run %s: %w: %s", decoder[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return size, hex.EncodeToString(hash.Sum(nil)), nil
}
