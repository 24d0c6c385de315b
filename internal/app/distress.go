package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"canton-backup/internal/config"
	"canton-backup/internal/notify"
	"canton-backup/internal/temporalserver"
)

const (
	distressAgain = 6 * time.Hour // an unchanged cause is reported again: the service manager restarts us every few seconds
	distressLimit = 30 * time.Second
)

// Distress tells the operator that the worker cannot work: it did not start, or it ended by itself. No workflow can do that then,
// and a worker that is down makes no backups (law 10). The same cause is told once in six hours. It returns why no message went out,
// nil when one did or none was due.
func Distress(settingsFile, next string, cause error) error {
	if errors.Is(cause, ErrWorkerRuns) || errors.Is(cause, temporalserver.ErrInUse) {
		return nil // another worker does the work
	}
	settings, _ := config.Load(settingsFile) // broken settings may be the cause, and what could be read of them may still do
	if settings.Telegram.Token.Empty() || settings.Telegram.ChatID == "" {
		return errors.New("alert: no channel: set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID")
	}
	mark := filepath.Join(filepath.Dir(RunLogFile(settings)), "worker-down")
	sum := sha256.Sum256([]byte(cause.Error()))
	digest := hex.EncodeToString(sum[:])
	if told, err := toldBefore(mark, digest, time.Now()); told {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), distressLimit)
	defer cancel()
	alert := notify.Alert{Node: settings.Node.Name, Network: settings.Node.Network, Step: "Worker", Cause: cause.Error(), Next: next}
	if err := telegram(settings.Telegram).Notify(ctx, alert); err != nil {
		return err
	}
	// Without the mark the next start tells it again: too often is better than never.
	err := os.MkdirAll(filepath.Dir(mark), 0o700)
	if err == nil {
		err = os.WriteFile(mark, []byte(digest+"\n"), 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember alert: %w", err)
	}
	return nil
}

// toldBefore reports whether the cause was told not long ago.
func toldBefore(mark, digest string, now time.Time) (bool, error) {
	info, err := os.Stat(mark)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	last, err := os.ReadFile(mark)
	age := now.Sub(info.ModTime())
	return err == nil && strings.TrimSpace(string(last)) == digest && age >= 0 && age < distressAgain, nil
}

// Relief forgets what Distress has told: the worker works.
func Relief(s config.Settings) error {
	err := os.Remove(filepath.Join(filepath.Dir(RunLogFile(s)), "worker-down"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget alert: %w", err)
	}
	return nil
}
