// Package uplink remembers how fast each target took the last sets, so that the next dump is compressed as hard as the way there is worth.
package uplink

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"canton-backup/internal/atomicfile"
)

// smallest is how many bytes an upload must have to say something about the link: less is over before the link is full.
const smallest = 4 << 20

// Rates is a file of rates, by location of the target. It is a hint: without it, or with a broken one, nothing is known.
type Rates struct {
	File string
	Lock sync.Locker // of the process, whose uploads end at the same time
}

// Note adds an upload of so many bytes that took so many seconds, read-back included. The newest counts half, so that one bad hour is forgotten.
func (r Rates) Note(location string, bytes int64, seconds float64) error {
	if bytes < smallest || seconds <= 0 {
		return nil
	}
	r.Lock.Lock()
	defer r.Lock.Unlock()
	known := r.read()
	rate := float64(bytes) / seconds
	if before, ok := known[location]; ok {
		rate = (rate + float64(before)) / 2
	}
	known[location] = max(1, int64(rate))
	if err := r.write(known); err != nil {
		return fmt.Errorf("note upload rate: %w", err)
	}
	return nil
}

// Slowest is the rate of the slowest of the targets, in bytes a second, 0 when none of them is known.
func (r Rates) Slowest(locations []string) int64 {
	known := r.read()
	maps.DeleteFunc(known, func(_ string, rate int64) bool { return rate <= 0 })
	slowest := int64(0)
	for _, l := range locations {
		if rate, ok := known[l]; ok && (slowest == 0 || rate < slowest) {
			slowest = rate
		}
	}
	return slowest
}

func (r Rates) read() map[string]int64 {
	known := map[string]int64{}
	if data, err := os.ReadFile(r.File); err != nil || json.Unmarshal(data, &known) != nil || known == nil {
		return map[string]int64{}
	}
	return known
}

func (r Rates) write(known map[string]int64) error {
	data, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.File), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(r.File, append(data, '\n'))
}
