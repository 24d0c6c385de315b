// Package notify tells a human that something went wrong: at once, again while it lasts, and not more often than that.
package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"strings"
	"time"
	"unicode/utf16"

	"canton-backup/internal/backupset"
)

// Alert is one message to the operator. It never holds a secret.
type Alert struct {
	Node     string
	Network  string
	Step     string       // which step failed: an activity's name
	Cause    string       // the error's text
	Next     string       // what to do, one line
	Set      backupset.ID // the run's set, may be empty
	LastGood string       // newest verified set on the host, "none", or empty when unknown
	Run      string       // workflow id, to find the run in the Temporal UI
	What     string       // "Restore", ...; empty: a backup
	Done     bool         // the run made its set, and something is not as it should be
	Title    string       // of what no run did: the headline's first words instead of "Backup failed"

	// Key names the cause, What/Step/error: "Backup/Upload/AuthDenied". What is told under one key is one state, so nothing that
	// changes from run to run may be part of it: no number, no time, no server's words.
	Key   string
	Flaps bool   // it may come and go: within Repeat of its last message, one that was over and is back is no news
	Over  bool   // what was told before is over: Cause names it
	Test  bool   // nothing happened: somebody tries the channels
	Note  string // what the ledger adds: since when it lasts
}

// key is the alert's Key; of an alert without one, what is known of where it failed.
func (a Alert) key() string {
	return cmp.Or(a.Key, cmp.Or(a.What, "Backup")+"/"+a.Step)
}

// Notifier delivers alerts.
type Notifier interface {
	// Notify delivers once. It returns *RetryError when the receiver asks to wait, an error that wraps ErrRejected when
	// trying again is of no use, any other error when it may be.
	Notify(ctx context.Context, a Alert) error
}

// ErrRejected: the receiver refuses us for good: a dead token, an unknown chat.
var ErrRejected = errors.New("alert rejected")

// RetryError: the receiver wants no message before After has passed.
type RetryError struct{ After time.Duration }

func (e *RetryError) Error() string { return fmt.Sprintf("receiver asks to wait %s", e.After) }

// Telegram's limit for a message is 4096 UTF-16 code units after its entities are parsed; the cause gets what the rest leaves.
const (
	causeLimit = 2500
	fieldLimit = 200
)

// Headline is the alert in one line, without markup.
func (a Alert) Headline() string {
	what := cmp.Or(a.What, "Backup")
	switch {
	case a.Test:
		what = "Test of the alerts, nothing happened"
	case a.Title != "":
		what = a.Title
	case a.Over:
		what += " works again"
	case a.Done:
		what = "Backup made, and needs a look"
	default:
		what += " failed"
	}
	return oneLine(fmt.Sprintf("%s: %s (%s)", what, truncate(a.Node, fieldLimit), truncate(a.Network, fieldLimit)))
}

// field is one named line below the headline.
type field struct{ name, value string }

// fields are the lines around the cause: what stands before it, what comes behind.
func (a Alert) fields() (before, behind []field) {
	before = []field{{"Step", a.Step}}
	behind = []field{{"Note", a.Note}, {"Do", a.Next}, {"Set", string(a.Set)}}
	if !a.Over && !a.Test {
		behind = append(behind, field{"Last good set", cmp.Or(a.LastGood, "unknown")})
	}
	return before, append(behind, field{"Run", a.Run})
}

// HTML renders the alert in Telegram's HTML: everything that comes from outside is escaped, so that a "<" in an error cannot make
// the receiver refuse the message.
func (a Alert) HTML() string {
	return a.render("<b>"+html.EscapeString(a.Headline())+"</b>", func(f field) string {
		return "<b>" + f.name + ":</b> " + html.EscapeString(f.value)
	}, func(cause string) string { return "<pre>" + html.EscapeString(cause) + "</pre>" })
}

// Text renders the alert without markup.
func (a Alert) Text() string { return a.render(a.Headline(), plainField, plainCause) }

// body is Text without its headline.
func (a Alert) body() string {
	return strings.TrimPrefix(a.render("", plainField, plainCause), "\n")
}

func plainField(f field) string      { return f.name + ": " + f.value }
func plainCause(cause string) string { return cause }

func (a Alert) render(headline string, line func(field) string, cause func(string) string) string {
	var b strings.Builder
	b.WriteString(headline)
	lines := func(fields []field) {
		for _, f := range fields {
			if f.value != "" {
				b.WriteString("\n" + line(field{f.name, truncate(f.value, fieldLimit)}))
			}
		}
	}
	before, behind := a.fields()
	lines(before)
	if a.Cause != "" {
		b.WriteString("\n" + cause(truncate(a.Cause, causeLimit)))
	}
	lines(behind)
	return b.String()
}

// oneLine keeps a text from beginning another line, or another header of a mail.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// truncate shortens a text to n UTF-16 code units, in whole characters, and marks the cut.
func truncate(text string, n int) string {
	text = strings.ToValidUTF8(text, "?")
	units := 0
	for i, r := range text {
		if units += max(1, utf16.RuneLen(r)); units > n-1 {
			return text[:i] + "…"
		}
	}
	return text
}
