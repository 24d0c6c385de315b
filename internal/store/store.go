// Package store defines the places that keep backup sets: a local directory, a host reached by rsync over SSH, a bucket.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Errors that callers branch on. Implementations wrap them: `put "x": store is full: …cause…`.
var (
	// ErrNotFound: no object of that name.
	ErrNotFound = errors.New("not found")
	// ErrExists: the name is taken by other content. Nothing was changed.
	ErrExists = errors.New("name is taken by other content")
	// ErrCorrupt: size or digest at the store differ from what was sent, or the source changed while it was sent.
	ErrCorrupt = errors.New("content differs")
	// ErrDenied: the store knows us not, or forbids the operation (bad key, 403, public key refused, permission denied).
	ErrDenied = errors.New("access denied")
	// ErrHostKey: the SSH host key is unknown or has changed. Never retried, never ignored.
	ErrHostKey = errors.New("host key not trusted")
	// ErrFull: no space or quota left.
	ErrFull = errors.New("store is full")
	// ErrNoBucket: the bucket or folder that the settings name does not exist, or its disk is not mounted, and is not ours to create.
	ErrNoBucket = errors.New("no such bucket or folder")
	// ErrRefused: the store answered that it will not do this, for a reason that no repetition cures.
	ErrRefused = errors.New("request refused")
	// ErrRegion: the bucket lies in another region than the settings name. An ErrRefused.
	ErrRegion = fmt.Errorf("%w: wrong region", ErrRefused)
	// ErrCertificate: the server's TLS certificate is signed by nobody whom this host trusts, expired, or another host's. An ErrRefused.
	ErrCertificate = fmt.Errorf("%w: certificate not trusted", ErrRefused)
	// ErrTooLarge: the store cannot keep a file of this size, whatever its free space. Nothing was sent. An ErrRefused.
	ErrTooLarge = fmt.Errorf("%w: too large", ErrRefused)
	// ErrClock: this host's clock and the store's differ by more than signatures, or ages of sets, can bear. An ErrDenied.
	ErrClock = fmt.Errorf("%w: clocks differ", ErrDenied)
	// ErrNoDelete: all is well, but we may not delete. Sets can be stored and never pruned by us. An ErrDenied.
	ErrNoDelete = fmt.Errorf("%w: no permission to delete", ErrDenied)
	// ErrStalled: no byte moved for longer than the store's stall limit.
	ErrStalled = errors.New("no bytes moved")
)

// File is a local file to be stored. It must not change while it is stored: implementations notice, and fail with ErrCorrupt.
type File struct {
	Path   string // absolute path
	Size   int64  // bytes
	SHA256 string // lower-case hex of the whole content
}

// Object is one stored file.
type Object struct {
	Name string
	Size int64 // bytes
}

// Store keeps files under flat names (no slash, no leading dot). Ages, owners and meaning live in manifests, not here.
//
// Every method obeys its context: when it ends, the call returns soon with the context's error and starts no further change.
// Methods may be called again after any failure, by another process too; they do not retry by themselves beyond what one
// stream needs. No error text and no process argument holds a secret.
type Store interface {
	// Kind is the setting's word for it: "dir", "rsync", "r2", "s3".
	Kind() string

	// Location says where it is, for people: "ubuntu@host:~/canton-backups/mainnet", "r2://bucket/prefix". No secret.
	Location() string

	// Check proves that the store can be reached, listed, read and written, without leaving anything behind. ErrNoDelete, and one
	// small hidden object left behind, when all of this is so but the last: callers treat it as a warning, for backups work.
	Check(ctx context.Context) error

	// Put makes the file's whole content visible under name, or nothing at all: a reader, a killed process, a cut line and
	// a full disk never show a partial object under a final name. It returns nil only after size and digest were
	// read back from the store and agree with the file. A name that already holds the same content is success without
	// sending it again; one that holds other content is ErrExists and stays as it was. A repeated Put goes on where an interrupted
	// one stopped, when the store can. progress (may be nil) gets the bytes of the file that were handed over so far, resumed
	// ones included; it never goes back, and gets the full size only after the read-back. It is called from one goroutine at a time.
	Put(ctx context.Context, name string, file File, progress func(bytes int64)) error

	// Open reads an object from a byte offset. ErrNotFound when there is none. A stream that ends early returns an error, not EOF.
	Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error)

	// List returns all objects with final names, foreign ones included, sorted by name. Unfinished ones are not shown.
	List(ctx context.Context) ([]Object, error)

	// Delete removes the named object. Absent is success.
	Delete(ctx context.Context, name string) error

	// Sweep removes what interrupted Puts of this owner left (partial files, open multipart uploads) and returns their
	// names. The caller holds the node's lock, so no Put of this owner is under way. Foreign leftovers stay.
	Sweep(ctx context.Context) ([]string, error)

	// Scratch opens a throw-away place inside the store's own, for proving the store where it really is. Neither List nor Sweep of the
	// store sees it. tag (letters and digits) tells attempts apart.
	Scratch(tag string) (Scratch, error)
}

// Scratch is a throw-away place.
type Scratch struct {
	Store  Store
	Size   int64                           // a Put of so many bytes reports progress before it is done
	Remove func(ctx context.Context) error // removes the place with all that the Store left in it
}

// ScratchName is the name of a throw-away place in a folder or bucket.
func ScratchName(owner, tag string) string { return PartialPrefix(owner) + tag + ".scratch" }

// Batch is a Store that reads many small objects at the price of one: where each Open is a login of its own, a listing of a
// hundred sets would be a hundred of them.
type Batch interface {
	// ReadAll returns the contents of the named objects. Absent ones are left out, and so are those of more than limit bytes.
	ReadAll(ctx context.Context, names []string, limit int64) (map[string][]byte, error)
}
