package temporalserver

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// serverLogger writes the server's log to slog, warnings and errors only: its chatter would drown the backup's own lines.
type serverLogger struct {
	slog  *slog.Logger
	least *atomic.Int64 // slog.Level, shared by all children
	fail  func(error)
}

var (
	_ log.Logger      = (*serverLogger)(nil)
	_ log.WithLogger  = (*serverLogger)(nil)
	_ log.SLogWrapper = (*serverLogger)(nil)
)

func newServerLogger(logger *slog.Logger, fail func(error)) *serverLogger {
	least := new(atomic.Int64)
	least.Store(int64(slog.LevelWarn))
	l := &serverLogger{least: least, fail: fail}
	l.slog = slog.New(&levelGate{Handler: logger.With("component", "temporal").Handler(), least: least})
	return l
}

// quiet drops everything from now on. A stopping server only reports that it is stopping, as warnings and errors.
func (l *serverLogger) quiet() { l.least.Store(int64(slog.LevelError) + 1) }

// SLog is what the server's own libraries log through.
func (l *serverLogger) SLog() *slog.Logger { return l.slog }

// With returns a logger that adds tags to each line.
func (l *serverLogger) With(tags ...tag.Tag) log.Logger {
	return &serverLogger{slog: slog.New(l.slog.Handler().WithAttrs(attrs(tags))), least: l.least, fail: l.fail}
}

func (l *serverLogger) Debug(msg string, tags ...tag.Tag)  { l.write(slog.LevelDebug, msg, tags) }
func (l *serverLogger) Info(msg string, tags ...tag.Tag)   { l.write(slog.LevelInfo, msg, tags) }
func (l *serverLogger) Warn(msg string, tags ...tag.Tag)   { l.write(slog.LevelWarn, msg, tags) }
func (l *serverLogger) Error(msg string, tags ...tag.Tag)  { l.write(slog.LevelError, msg, tags) }
func (l *serverLogger) DPanic(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags) }

func (l *serverLogger) Panic(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	panic(msg)
}

// Fatal reports the server as dead and ends the calling goroutine. The server expects the process to end here, which is
// not its decision to take: a dump may be under way. Returning would run code that relies on what just failed.
func (l *serverLogger) Fatal(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	err := fmt.Errorf("temporal server: %s", msg)
	for _, t := range tags {
		if cause, ok := t.Value().(error); ok {
			err = fmt.Errorf("%w: %w", err, cause)
		}
	}
	l.fail(err)
	runtime.Goexit()
}

// noHTTPPort begins the warning that we have no HTTP API. It stays off: it would be one more port without a password, and
// one that web pages can reach.
const noHTTPPort = "HTTP API port has not been set"

func (l *serverLogger) write(level slog.Level, msg string, tags []tag.Tag) {
	if strings.HasPrefix(msg, noHTTPPort) {
		return
	}
	ctx := context.Background()
	if l.slog.Enabled(ctx, level) {
		l.slog.LogAttrs(ctx, level, msg, attrs(tags)...)
	}
}

func attrs(tags []tag.Tag) []slog.Attr {
	out := make([]slog.Attr, 0, len(tags))
	for _, t := range tags {
		out = append(out, slog.Any(t.Key(), t.Value()))
	}
	return out
}

// levelGate drops lines below a level that can change while the server runs.
type levelGate struct {
	slog.Handler
	least *atomic.Int64
}

func (g *levelGate) Enabled(ctx context.Context, level slog.Level) bool {
	return int64(level) >= g.least.Load() && g.Handler.Enabled(ctx, level)
}

func (g *levelGate) WithAttrs(a []slog.Attr) slog.Handler {
	return &levelGate{Handler: g.Handler.WithAttrs(a), least: g.least}
}

func (g *levelGate) WithGroup(name string) slog.Handler {
	return &levelGate{Handler: g.Handler.WithGroup(name), least: g.least}
}
