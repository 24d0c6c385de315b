package machine

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	sampleEvery = 50 * time.Millisecond
	searchEvery = 5 // samples: a look at all processes costs more than one at the known ones
)

// notClients are programs in containers that are not the subject's: the server's backends, and the checks of its health.
var notClients = []string{"postgres", "pg_isready", "runc:[1:CHILD]", "runc:[2:INIT]"}

// Watch adds up the memory of a subject's processes, again and again, until it is told to stop: on the host what descends from this
// process, in the engine's containers what was not there at the start. Pages that two of them share count twice.
type Watch struct {
	group  *Group
	before map[int]bool
	known  []int
	except []int
	peak   int64
	done   chan struct{}
	ended  sync.WaitGroup
}

// Start begins to watch. The group's neighbours are looked at; except are processes, with their descendants, that somebody else counts: with
// this one among them, nothing on the host is added up.
func Start(group *Group, except ...int) *Watch {
	w := &Watch{group: group, before: map[int]bool{}, except: except, done: make(chan struct{})}
	for _, list := range group.neighbours() {
		for _, pid := range processes(list) {
			w.before[pid] = true
		}
	}
	w.ended.Go(w.run)
	return w
}

// Stop returns the most memory that was taken, in bytes.
func (w *Watch) Stop() int64 {
	close(w.done)
	w.ended.Wait()
	return w.peak
}

func (w *Watch) run() {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for i := 0; ; i++ {
		if i%searchEvery == 0 {
			w.known = append(descendants(os.Getpid(), w.except), w.contained()...)
		}
		var sum int64
		for _, pid := range w.known {
			sum += resident(pid)
		}
		w.peak = max(w.peak, sum)
		select {
		case <-w.done:
			return
		case <-ticker.C:
		}
	}
}

// contained are the new processes in containers.
func (w *Watch) contained() []int {
	var found []int
	for _, list := range w.group.neighbours() {
		for _, pid := range processes(list) {
			if w.before[pid] {
				continue
			}
			if p, err := readProcess(pid); err == nil && !slices.Contains(notClients, p.name) {
				found = append(found, pid)
			}
		}
	}
	return found
}

// descendants are the processes that a process made, theirs included, but not those of the excepted ones.
func descendants(root int, except []int) []int {
	if slices.Contains(except, root) {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p, err := readProcess(pid); err == nil {
			children[p.parent] = append(children[p.parent], pid)
		}
	}
	var found []int
	for queue := children[root]; len(queue) > 0; queue = queue[1:] {
		if pid := queue[0]; !slices.Contains(except, pid) {
			found = append(found, pid)
			queue = append(queue, children[pid]...)
		}
	}
	return found
}
