package temporalserver

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

var (
	// ErrInUse means that another process holds the folder. The error is an *InUseError.
	ErrInUse = errors.New("temporal folder in use")
	// ErrPortTaken means that something else listens on the port of the API. The error is a *PortTakenError.
	ErrPortTaken = errors.New("temporal port taken")
	// ErrNewer means that a newer release of this program wrote a file. The error is a *NewerError.
	ErrNewer = errors.New("temporal file newer than this program")
)

// InUseError names the process that holds the folder.
type InUseError struct {
	Dir     string
	PID     int    // 0 when the holder did not say
	Process string // its program's name, empty when it cannot be read
}

func (e *InUseError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = "process " + strconv.Itoa(e.PID)
	}
	if e.Process != "" {
		who += " (" + e.Process + ")"
	}
	return fmt.Sprintf("open temporal folder %s: in use by %s: stop it, or join it with TEMPORAL_ADDRESS", e.Dir, who)
}

// Unwrap makes errors.Is(err, ErrInUse) hold.
func (e *InUseError) Unwrap() error { return ErrInUse }

// PortTakenError names the port.
type PortTakenError struct {
	Port  int
	Cause error
}

func (e *PortTakenError) Error() string {
	address := net.JoinHostPort(loopback, strconv.Itoa(e.Port))
	return fmt.Sprintf("listen on %s: %v: if a Temporal server answers there, join it with TEMPORAL_ADDRESS=%s; "+
		"else find the process with `ss -ltnp 'sport = :%d'` and stop it, or choose another port", address, e.Cause, address, e.Port)
}

// Unwrap makes errors.Is(err, ErrPortTaken) hold and keeps the cause.
func (e *PortTakenError) Unwrap() []error { return []error{ErrPortTaken, e.Cause} }

// NewerError names the file and both versions.
type NewerError struct {
	File    string
	Version string // of the file
	Ours    string // the newest that this program can read
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("open %s: its version %s is newer than %s, the newest this program knows: "+
		"run the newer release again, or move the file away to begin a fresh history", e.File, e.Version, e.Ours)
}

// Unwrap makes errors.Is(err, ErrNewer) hold.
func (e *NewerError) Unwrap() error { return ErrNewer }
