package seal

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"canton-backup/internal/backupset"
)

const (
	tasteEvery = 32      // blocks
	tasteSize  = 2 << 20 // bytes: of less, a higher level cannot show what it is worth
	worthwhile = 0.95    // of the lower level's time
)

// dial chooses the level for each block: the one with which packing and sending take the least time together. It tastes the text now and then, for what a level saves
// differs from table to table, and what it costs from machine to machine.
type dial struct {
	levels  []int
	workers int
	link    float64 // bytes a second, 0 for unknown

	mu     sync.Mutex
	blocks int   // so far
	packed []int // of them, by level
	now    int   // index of the level
}

// price is what a level takes of a piece of text.
type price struct {
	seconds float64 // of one processor, for each byte of text
	ratio   float64 // packed bytes for each byte of text
}

func newDial(l backupset.Levels, workers int) *dial {
	d := &dial{workers: workers, link: float64(l.Link)}
	for _, level := range backupset.ZstdLevels {
		if level >= l.Floor && level <= max(l.Floor, l.Ceiling, backupset.ZstdLevels[0]) {
			d.levels = append(d.levels, level)
		}
	}
	if d.link == 0 {
		d.levels = d.levels[:1]
	}
	d.packed = make([]int, len(d.levels))
	return d
}

// turn returns the index of the level for a block. taste packs a piece with the level of that index.
func (d *dial) turn(block []byte, taste func(level int, piece []byte) int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.levels) > 1 && d.blocks%tasteEvery == 0 && len(block) > 0 {
		middle := max(0, (len(block)-tasteSize)/2)
		d.now = cheapest(d.prices(block[middle:min(len(block), middle+tasteSize)], taste), d.workers, d.link)
	}
	d.blocks++
	d.packed[d.now]++
	return d.now
}

// prices are those of the levels, or of the first alone where there is nothing to search for: the higher ones would be dear there and save nothing.
func (d *dial) prices(piece []byte, taste func(level int, piece []byte) int) []price {
	var prices []price
	for i := range d.levels {
		var size int
		took := threadTime(func() { size = taste(i, piece) })
		prices = append(prices, price{took.Seconds() / float64(len(piece)), float64(size) / float64(len(piece))})
		if prices[i].ratio > searchable {
			break
		}
	}
	return prices
}

// threadTime is the processor time that work takes. Time by the clock would count what else runs on the machine.
func threadTime(work func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now := func() time.Duration {
		var t unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // every Linux has it
		return time.Duration(t.Nano())
	}
	begin := now()
	work()
	return now() - begin
}

// cheapest is the level whose packing, on all workers, and sending take the least time. A higher one has to be worth its work: the processors are the validator's.
func cheapest(prices []price, workers int, link float64) int {
	best := 0
	total := func(p price) float64 { return p.seconds/float64(workers) + p.ratio/link }
	for i := range prices {
		if total(prices[i]) < worthwhile*total(prices[best]) {
			best = i
		}
	}
	return best
}

// most is the level that packed most blocks.
func (d *dial) most() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.levels[slices.Index(d.packed, slices.Max(d.packed))]
}
