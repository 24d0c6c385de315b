// Package cli is the operator's command line. Standard output is data, standard error is talk; exit codes are a contract.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/term"

	"canton-backup/activities"
	"canton-backup/internal/app"
	"canton-backup/internal/config"
	"canton-backup/internal/encryption"
	"canton-backup/internal/keyring"
	"canton-backup/internal/store"
	"canton-backup/internal/temporalserver"
)

// Exit codes.
const (
	ExitDone       = 0
	ExitFailed     = 1
	ExitUsage      = 2  // usage or settings
	ExitIncomplete = 3  // done, but one of several targets failed
	ExitNotFound   = 10 // no such set
	ExitBusy       = 11 // another run works on the node
	ExitKey        = 12 // key missing or wrong
	ExitCancelled  = 130
)

// Streams are where a command talks.
type Streams struct {
	In       io.Reader
	Out      io.Writer
	Err      io.Writer
	Terminal bool // Err is a terminal: progress is drawn
}

// Standard returns the process's own streams.
func Standard() Streams {
	return Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Terminal: term.IsTerminal(int(os.Stderr.Fd()))}
}

// exitError carries an exit code past cobra.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// silentExit is an exit code whose reason was printed already.
type silentExit struct{ code int }

func (e *silentExit) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// namedError is an error of the domain with the name under which runs know it.
type namedError struct {
	error
	name string
}

func (e *namedError) Unwrap() error { return e.error }

// command is what every command works with.
type command struct {
	Streams
	file string
	json bool
	loan *keyring.Loan // a private key for the run that is about to be started
}

// Main runs a command line and returns its exit code.
func Main(args []string, streams Streams) int {
	c := &command{Streams: streams}
	root := &cobra.Command{
		Use:   "canton-backup",
		Short: "Back up and restore a Canton Network validator",
		Long: `Back up and restore a Canton Network validator.

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 done but one of several targets failed,
10 not found, 11 busy, 12 key missing or wrong, 130 cancelled.`,
		SilenceUsage: true, SilenceErrors: true, Version: app.Version(),
	}
	root.PersistentFlags().StringVar(&c.file, "conf", "", "settings file (default ~/.canton/toolkit.conf, or $CANTON_BACKUP_CONF)")
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print data as JSON")
	root.PersistentPreRunE = func(*cobra.Command, []string) (err error) {
		if c.file == "" {
			c.file, err = config.DefaultFile()
		}
		return err
	}
	root.AddCommand(newBackup(c), newList(c), newShow(c), newVerify(c), newDrill(c), newRestore(c), newRollback(c), newPrune(c), newPin(c), newUnpin(c), newIdentities(c), newUnlock(c), newLock(c), newSchedule(c), newStatus(c), newDoctor(c), newNotify(c), newConfig(c), newVersion(c))
	root.SetArgs(args)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{ExitUsage, err} })
	return c.report(root.Execute())
}

// report prints an error and chooses the exit code: the one place where errors become codes.
func (c *command) report(err error) int {
	if err == nil {
		return ExitDone
	}
	var silent *silentExit
	if errors.As(err, &silent) {
		return silent.code
	}
	code := exitCode(err)
	text := err.Error()
	var name string
	var app *temporal.ApplicationError
	var named *namedError
	if errors.As(err, &app) {
		name, text = app.Type(), app.Message()
	} else if errors.As(err, &named) {
		name = named.name
	}
	if c.json {
		_ = json.NewEncoder(c.Err).Encode(map[string]any{"error": text, "name": name, "exit": code}) // nowhere left to complain
		return code
	}
	fmt.Fprintln(c.Err, "canton-backup: "+text)
	if name != "" && code != ExitCancelled {
		fmt.Fprintln(c.Err, "Try: "+activities.NextStep(name))
	}
	return code
}

func exitCode(err error) int {
	var exit *exitError
	var settings *config.Error
	var failure *temporal.ApplicationError
	var named *namedError
	switch {
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &settings):
		return ExitUsage
	case errors.As(err, &failure) && failure.Type() == activities.UndoFailed:
		return ExitFailed // although it may have begun with a cancellation
	case temporal.IsCanceledError(err), errors.Is(err, context.Canceled):
		return ExitCancelled
	case errors.As(err, &failure):
		return codeOf(failure.Type())
	case errors.As(err, &named):
		return codeOf(named.name)
	case errors.Is(err, store.ErrNotFound):
		return ExitNotFound
	case errors.Is(err, encryption.ErrNoKey), errors.Is(err, encryption.ErrWrongKey), errors.Is(err, encryption.ErrLocked):
		return ExitKey
	case errors.Is(err, temporalserver.ErrInUse), errors.Is(err, app.ErrWorkerRuns):
		return ExitBusy
	case strings.HasPrefix(err.Error(), "unknown command"), strings.Contains(err.Error(), "arg(s)"):
		return ExitUsage // cobra has no types for these
	default:
		return ExitFailed
	}
}

// codeOf is the exit code of an error's name.
func codeOf(name string) int {
	switch name {
	case activities.ConfigInvalid, activities.BadRequest:
		return ExitUsage
	case activities.NodeBusy:
		return ExitBusy
	case activities.SetNotFound:
		return ExitNotFound
	case activities.KeyMissing, activities.KeyWrong, activities.KeyLocked:
		return ExitKey
	}
	return ExitFailed
}

// settings reads the settings and prints what is worth a warning.
func (c *command) settings() (config.Settings, error) {
	s, err := config.Load(c.file)
	if err != nil {
		return s, err
	}
	for _, w := range s.Warnings {
		fmt.Fprintln(c.Err, "warning: "+w)
	}
	return s, nil
}

// print writes data: as JSON when asked for, else by text.
func (c *command) print(data any, text func(io.Writer) error) error {
	if !c.json {
		return text(c.Out)
	}
	encoder := json.NewEncoder(c.Out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(data)
}
