// Package keyring keeps a private key in the worker's memory for as long as an operator lends it: it then lies on no disk of the node's host, and
// never goes through Temporal.
package keyring

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"canton-backup/internal/encryption"
	"canton-backup/internal/secret"
)

// ErrNoWorker: no worker of this node takes keys on this host.
var ErrNoWorker = errors.New("no worker of this node takes keys here")

const (
	callLimit = 10 * time.Second
	sizeLimit = 1 << 20 // bytes of a request
)

// Loan is a private key that a worker may use for a while.
type Loan struct {
	Data       []byte        // see encryption.ParseKey
	Passphrase secret.String // of the key; empty without
	For        time.Duration
}

// holdTerm is for how long a run may use a key that it has begun with, whatever becomes of the loan.
const holdTerm = 36 * time.Hour

// Ring holds the key that was lent, and the one that the run under way has begun with. A nil Ring holds none.
type Ring struct {
	mu    sync.Mutex
	lent  slot
	token string // of the loan
	held  slot
	run   string // whose key is held
}

type slot struct {
	key     *encryption.Key
	expires time.Time
}

func (s *slot) get() *encryption.Key {
	if !time.Now().Before(s.expires) {
		s.key = nil
	}
	return s.key
}

// Key is the key that is lent now, nil when there is none.
func (r *Ring) Key() *encryption.Key {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lent.get()
}

// Hold keeps a key for a run until Release: a restore that has stopped the node because its key opens the set must still have it when the loan
// is over, or was taken back.
func (r *Ring) Hold(run string, key *encryption.Key) {
	if r == nil || key == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run, r.held = run, slot{key, time.Now().Add(holdTerm)}
}

// Held is the key of that run, nil when there is none.
func (r *Ring) Held(run string) *encryption.Key {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run != run {
		return nil
	}
	return r.held.get()
}

// Release forgets the key of that run.
func (r *Ring) Release(run string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run == run {
		r.run, r.held = "", slot{}
	}
}

// lend takes a key in, and returns what takes it back.
func (r *Ring) lend(key *encryption.Key, term time.Duration) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lent, r.token = slot{key, time.Now().Add(term)}, rand.Text()
	return r.token
}

// takeBack ends the loan of that token, or any for an empty one. Another one's loan stays.
func (r *Ring) takeBack(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if token == "" || token == r.token {
		r.lent, r.token = slot{}, ""
	}
}

// request is what goes over the socket, a line of JSON. This is the one place where a key is spelled out, to another process of the same user.
type request struct {
	Data       []byte        `json:"data"`
	Passphrase string        `json:"passphrase"`
	For        time.Duration `json:"for"` // 0: the loan of the token is over
	Token      string        `json:"token,omitempty"`
	Ask        bool          `json:"ask,omitempty"` // whether a key is lent, and nothing else
}

type answer struct {
	Error string `json:"error,omitempty"`
	Token string `json:"token,omitempty"`
	Lent  bool   `json:"lent"`
}

// Serve takes keys at the socket of that path (0600, its folder is to be 0700) until it is closed. What an ended worker left there is replaced: the
// caller holds the node's lock.
func (r *Ring) Serve(path string) (close func() error, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("take keys: %w", err)
	}
	near, done, err := short(path)
	if err != nil {
		return nil, fmt.Errorf("take keys: %w", err)
	}
	// The mask keeps others out from the first moment on; it counts for the process, so no file may be made beside: this runs once, at the start.
	mask := syscall.Umask(0o177)
	listener, err := net.Listen("unix", near)
	syscall.Umask(mask)
	if err = errors.Join(err, done()); err != nil {
		return nil, fmt.Errorf("take keys: %w", err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // by the short name, which is not there any more
	go func() {
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil { // out of file descriptors, for now
				time.Sleep(time.Second)
				continue
			}
			go r.serve(conn)
		}
	}()
	return func() error {
		r.takeBack("")
		return errors.Join(listener.Close(), os.Remove(path))
	}, nil
}

func (r *Ring) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(callLimit))
	var in request
	reader := bufio.NewReaderSize(conn, sizeLimit)
	line, err := reader.ReadSlice('\n')
	if err == nil {
		err = json.Unmarshal(line, &in)
	}
	if err != nil {
		return // whoever it was sees the line end
	}
	var out answer
	switch {
	case in.Ask:
	case in.For <= 0:
		r.takeBack(in.Token)
	default:
		passphrase := func(string) (secret.String, error) { return secret.New(in.Passphrase), nil }
		if key, err := encryption.ParseKey(in.Data, "that was lent", passphrase); err != nil {
			out.Error = err.Error()
		} else {
			out.Token = r.lend(key, in.For)
		}
	}
	out.Lent = r.Key() != nil
	_ = json.NewEncoder(conn).Encode(out) // a lender who left asks again
}

// Lend hands a key to the worker that serves the socket, and returns the token that takes it back. ErrNoWorker when there is none.
func Lend(ctx context.Context, path string, loan Loan) (token string, err error) {
	out, err := call(ctx, path, request{Data: loan.Data, Passphrase: loan.Passphrase.Reveal(), For: loan.For})
	return out.Token, err
}

// TakeBack ends the loan of that token, and any for an empty one. Nothing to take back is success.
func TakeBack(ctx context.Context, path, token string) error {
	_, err := call(ctx, path, request{Token: token})
	return err
}

// Lent reports whether the worker that serves the socket has a key.
func Lent(ctx context.Context, path string) bool {
	out, err := call(ctx, path, request{Ask: true})
	return err == nil && out.Lent
}

func call(ctx context.Context, path string, in request) (answer, error) {
	fail := func(err error) (answer, error) { return answer{}, fmt.Errorf("lend key: %w", err) }
	near, done, err := short(path)
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrNoWorker, err))
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", near)
	if err = errors.Join(err, done()); err != nil {
		return fail(fmt.Errorf("%w: %w", ErrNoWorker, err))
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return fail(err)
	}
	if err := json.NewEncoder(conn).Encode(in); err != nil {
		return fail(err)
	}
	var out answer
	if err := json.NewDecoder(conn).Decode(&out); err != nil {
		return fail(err)
	}
	if out.Error != "" {
		return fail(errors.New(out.Error))
	}
	return out, nil
}

// short is a name of the path that fits into a socket's address, which takes 107 bytes.
func short(path string) (near string, done func() error, err error) {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(folder.Fd())), filepath.Base(path)), folder.Close, nil
}
