package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"canton-backup/internal/config"
	"canton-backup/internal/notify"
)

const (
	distressAgain = 6 * time.Hour    // an unchanged cause is told again
	distressFloor = 15 * time.Minute // whatever the cause: the service manager restarts us every few seconds
	distressLimit = 30 * time.Second
	// steady is how long a worker must have worked for its next trouble to be news.
	steady = 10 * time.Minute
)

// Distress tells the operator that the worker cannot work: it did not start, or it ended by itself. No workflow can do that then,
// and a worker that is down makes no backups (law 10). One message in a quarter of an hour at most, and the same cause once in six
// hours, unless the worker worked for a while in between: uptime is how long it did. It returns why no message went out,
// nil when one did or none was due.
func Distress(settingsFile, next string, uptime time.Duration, cause error) error {
	if errors.Is(cause, ErrWorkerRuns) {
		return nil // it does the work
	}
	settings, _ := config.Load(settingsFile) // broken settings may be the cause, and what could be read of them may still do
	if settings.Telegram.Token.Empty() || settings.Telegram.ChatID == "" {
		return errors.New("alert: no channel: set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID")
	}
	// Digits change from one start to the next: ports, process ids, times.
	kind := digits.ReplaceAllString(cause.Error(), "#")
	now := time.Now()
	mark, err := openMark(settings)
	if err == nil {
		defer mark.Close()
		if mark.told(kind, uptime, now) {
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), distressLimit)
	defer cancel()
	alert := notify.Alert{Node: settings.Node.Name, Network: settings.Node.Network, Step: "Worker", Cause: cause.Error(), Next: next}
	if err := errors.Join(telegram(settings.Telegram).Notify(ctx, alert), err); err != nil {
		return err
	}
	return mark.set(kind, now)
}

var digits = regexp.MustCompile(`[0-9]+`)

// mark is what the last start left for the next: what was told, in a file whose time says when.
type mark struct{ *os.File }

// openMark makes the file before anything is told. On a full disk its text may then get lost, its time does not.
func openMark(s config.Settings) (mark, error) {
	path := filepath.Join(filepath.Dir(RunLogFile(s)), "worker-down-"+s.Node.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return mark{}, fmt.Errorf("remember alert: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = os.Chtimes(path, time.Time{}, time.Unix(0, 0)) // nothing was told yet
	} else if errors.Is(err, os.ErrExist) {
		f, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil {
		return mark{}, fmt.Errorf("remember alert: %w", err)
	}
	return mark{f}, nil
}

func (m mark) told(kind string, uptime time.Duration, now time.Time) bool {
	info, err := m.Stat()
	if err != nil {
		return false
	}
	last, err := io.ReadAll(io.LimitReader(m, 64<<10))
	age := now.Sub(info.ModTime())
	if err != nil || age < 0 {
		return false
	}
	return age < distressFloor || age < distressAgain && uptime < steady && strings.TrimSpace(string(last)) == kind
}

func (m mark) set(kind string, now time.Time) error {
	err := m.Truncate(0)
	if err == nil {
		_, err = m.WriteAt([]byte(kind+"\n"), 0)
	}
	if err := errors.Join(err, os.Chtimes(m.Name(), time.Time{}, now)); err != nil {
		return fmt.Errorf("remember alert: %w", err)
	}
	return nil
}
