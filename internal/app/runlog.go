package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"canton-backup/internal/config"
	"canton-backup/workflows"
)

// RunLogFile is the log that the customer's guide tells operators to follow.
func RunLogFile(s config.Settings) string {
	return filepath.Join(s.Home, ".canton", "logs", "backup.log")
}

const runLogLimit = 10 << 20 // bytes, then the file becomes backup.log.1

// runLog writes the lines of runs to backup.log: "[2024-01-15 14:00:01] text", in local time as the guide shows it.
type runLog struct {
	mu   sync.Mutex
	file *os.File
}

func openRunLog(s config.Settings) (*runLog, error) {
	path := RunLogFile(s)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open run log: %w", err)
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > runLogLimit {
		err = os.Rename(path, path+".1")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open run log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open run log: %w", err)
	}
	return &runLog{file: file}, nil
}

// Close closes the file.
func (l *runLog) Close() error { return l.file.Close() }

// FormatLine is a line of the run log.
func FormatLine(at time.Time, text string) string {
	return fmt.Sprintf("[%s] %s", at.Local().Format(time.DateTime), text)
}

// handler takes the records that workflows mark as lines of the run log, and passes all others on.
func (l *runLog) handler(next slog.Handler) slog.Handler { return &runLogHandler{log: l, next: next} }

type runLogHandler struct {
	log  *runLog
	next slog.Handler
}

func (h *runLogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.next.Enabled(ctx, level)
}

func (h *runLogHandler) Handle(ctx context.Context, r slog.Record) error {
	marked := false
	r.Attrs(func(a slog.Attr) bool {
		marked = marked || a.Key == workflows.RunLogKey
		return !marked
	})
	if marked {
		h.log.mu.Lock()
		defer h.log.mu.Unlock()
		_, err := fmt.Fprintln(h.log.file, FormatLine(r.Time, r.Message))
		return err
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

func (h *runLogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &runLogHandler{log: h.log, next: h.next.WithAttrs(attrs)}
}

func (h *runLogHandler) WithGroup(name string) slog.Handler {
	return &runLogHandler{log: h.log, next: h.next.WithGroup(name)}
}
