package backupset

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in a PostgreSQL server's WAL in the server's own spelling, "16/B374D848". Positions of one server are totally
// ordered, which proves the order of two dumps without trusting any clock.
type LSN string

// Uint64 returns the position in bytes.
func (l LSN) Uint64() (uint64, error) {
	high, low, ok := strings.Cut(string(l), "/")
	if !ok {
		return 0, fmt.Errorf("parse WAL position %q: want X/Y", string(l))
	}
	h, err := strconv.ParseUint(high, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("parse WAL position %q: %w", string(l), err)
	}
	lo, err := strconv.ParseUint(low, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("parse WAL position %q: %w", string(l), err)
	}
	return h<<32 | lo, nil
}
