package activities

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"canton-backup/internal/catalog"
	"canton-backup/internal/health"
	"canton-backup/internal/restore"
	"canton-backup/internal/store"
)

// CheckSpace returns the bytes that are free for sets on this host, and store.ErrFull when a set of that size does not fit.
func CheckSpace(ctx context.Context, local LocalStore, estimate int64) (int64, error) {
	free, total, err := local.Space(ctx)
	if err != nil {
		return 0, err
	}
	if keep := reserve(total); free < estimate+keep {
		return free, fmt.Errorf("check disk: %w: %s has %s free, the set may need %s and %s stay reserved", store.ErrFull, local.Location(),
			humanize.IBytes(uint64(free)), humanize.IBytes(uint64(estimate)), humanize.IBytes(uint64(keep)))
	}
	return free, nil
}

// Room is what is free for sets on this host, and what the next one may take by the newest of the listing.
func Room(ctx context.Context, local LocalStore, sets catalog.Listing, now time.Time) (health.Disk, error) {
	free, total, err := local.Space(ctx)
	return health.Disk{Free: free, Total: total, Need: lastSize(sets, now), Reserve: reserve(total)}, err
}

// reserve is the part of a disk of that many bytes that is never used: the disk is often the database's own, and a full one stops
// the validator (law 12).
func reserve(total int64) int64 { return min(max(total/20, 256<<20), 8<<30) }

// disk is what is free of a disk for this user, and its size, in bytes.
type disk struct{ free, total int64 }

// diskNear looks at the disk of a folder that this user may not enter: /var/lib/docker is on the disk of the folders above it as a rule.
// False when it cannot be seen.
func diskNear(folder string) (disk, bool) {
	if folder == "" {
		return disk{}, false
	}
	for at := folder; ; at = filepath.Dir(at) {
		var fs unix.Statfs_t
		if unix.Statfs(at, &fs) == nil {
			return disk{int64(fs.Bavail) * fs.Bsize, int64(fs.Blocks) * fs.Bsize}, true
		}
		if at == filepath.Dir(at) {
			return disk{}, false
		}
	}
}

// freeNear measures what may be used of the disk of a folder, restore.NotKnown when that cannot be seen.
func freeNear(folder string) int64 {
	d, known := diskNear(folder)
	if !known {
		return restore.NotKnown
	}
	return d.free - reserve(d.total)
}

// diskLookEvery bounds how much can be written between two looks at the disk.
const diskLookEvery = 200 * time.Millisecond

// sparing ends the context that it returns when less than half of the reserve is left of a disk: what is done in it stops before the disk is
// full, since PostgreSQL ends when it cannot write its log, and does not start again before somebody makes room. The cause wraps store.ErrFull.
func sparing(ctx context.Context, what string, look func() (disk, bool)) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	full := func() bool {
		d, known := look()
		if known && d.free < reserve(d.total)/2 {
			cancel(fmt.Errorf("%s: %w: %s free, stopped so that the disk is not filled", what, store.ErrFull, humanize.IBytes(uint64(d.free))))
			return true
		}
		return false
	}
	if !full() {
		go func() {
			ticker := time.NewTicker(diskLookEvery)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					if full() {
						return
					}
				}
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}
