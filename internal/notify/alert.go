// Package notify tells a human that something went wrong.
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

// HTML renders the alert in Telegram's HTML: everything that comes from outside is escaped, so that a "<" in an error cannot make
// the receiver refuse the message.
func (a Alert) HTML() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "\n<b>%s:</b> %s", name, html.EscapeString(truncate(value, fieldLimit)))
		}
	}
	headline := cmp.Or(a.What, "Backup") + " failed"
	if a.Done {
		headline = "Backup made, and needs a look"
	}
	fmt.Fprintf(&b, "<b>%s: %s (%s)</b>", headline, html.EscapeString(truncate(a.Node, fieldLimit)), html.EscapeString(truncate(a.Network, fieldLimit)))
	line("Step", a.Step)
	if a.Cause != "" {
		fmt.Fprintf(&b, "\n<pre>%s</pre>", html.EscapeString(truncate(a.Cause, causeLimit)))
	}
	line("Do", a.Next)
	line("Set", string(a.Set))
	line("Last good set", cmp.Or(a.LastGood, "unknown"))
	line("Run", a.Run)
	return b.String()
}

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
