package restore

import (
	"regexp"
	"slices"
	"strings"

	"canton-backup/internal/backupset"
)

// Purpose is why a database stands beside the live one.
type Purpose string

// The purposes, as they stand in the databases' names: <live>_<purpose>_<stamp of the restore>.
const (
	Loading Purpose = "restore" // being loaded and checked; left over when a restore was terminated
	Before  Purpose = "before"  // what a restore replaced
	Undone  Purpose = "undone"  // what a rollback took away again
)

// maxName is the longest name that the server takes, in bytes; it cuts longer ones, silently.
const maxName = 63

// Name is the name of the database that stands beside a live one. A long name is shortened.
func Name(live string, purpose Purpose, stamp backupset.ID) string {
	suffix := "_" + string(purpose) + "_" + string(stamp)
	cut := []rune(live)
	for len(string(cut))+len(suffix) > maxName && len(cut) > 0 {
		cut = cut[:len(cut)-1]
	}
	return string(cut) + suffix
}

// Kept is what one restore left for a way back.
type Kept struct {
	Stamp     backupset.ID   `json:"stamp"` // of the restore, or of the rollback
	Purpose   Purpose        `json:"purpose"`
	Databases []KeptDatabase `json:"databases"`
}

// KeptDatabase is one old database.
type KeptDatabase struct {
	Live  string `json:"live"` // name that it had, and would have again
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Bytes is what it takes of the disk.
func (k Kept) Bytes() int64 {
	var total int64
	for _, d := range k.Databases {
		total += d.Bytes
	}
	return total
}

var keptName = regexp.MustCompile(`_(restore|before|undone)_([0-9]{8}_[0-9]{6})$`)

// Aside reports whether a database of that name stands beside a live one, and is none itself.
func Aside(name string) bool { return keptName.MatchString(name) }

// FindKept finds among a server's databases (name, bytes) those that restores and rollbacks left of the live ones, newest first.
func FindKept(all map[string]int64, live []string) []Kept {
	var found []Kept
	for name, size := range all {
		m := keptName.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		purpose, stamp := Purpose(m[1]), backupset.ID(m[2])
		for _, l := range live {
			if Name(l, purpose, stamp) != name {
				continue
			}
			i := slices.IndexFunc(found, func(k Kept) bool { return k.Stamp == stamp && k.Purpose == purpose })
			if i < 0 {
				i = len(found)
				found = append(found, Kept{Stamp: stamp, Purpose: purpose})
			}
			found[i].Databases = append(found[i].Databases, KeptDatabase{Live: l, Name: name, Bytes: size})
		}
	}
	for _, k := range found {
		slices.SortFunc(k.Databases, func(a, b KeptDatabase) int { return strings.Compare(b.Name, a.Name) }) // the validator's first
	}
	slices.SortFunc(found, func(a, b Kept) int {
		return strings.Compare(string(b.Stamp)+string(b.Purpose), string(a.Stamp)+string(a.Purpose))
	})
	return found
}
