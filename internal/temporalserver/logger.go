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
	state *logState
}

// logState is shared by a logger and all its children.
type logState struct {
	least    atomic.Int64 // slog.Level
	building atomic.Bool
	fail     func(error)
}

var (
	_ log.Logger      = (*serverLogger)(nil)
	_ log.WithLogger  = (*serverLogger)(nil)
	_ log.SLogWrapper = (*serverLogger)(nil)
)

func newServerLogger(logger *slog.Logger, fail func(error)) *serverLogger {
	state := &logState{fail: fail}
	state.least.Store(int64(slog.LevelWarn))
	gate := &levelGate{Handler: logger.With("component", "temporal").Handler(), state: state}
	return &serverLogger{slog: slog.New(gate), state: state}
}

// quiet drops everything from now on. A stopping server only reports that it is stopping, as warnings and errors.
func (l *serverLogger) quiet() { l.state.least.Store(int64(slog.LevelError) + 1) }

// whileBuilding runs build, which may call Fatal but must not leave the goroutine, and returns what Fatal was told.
func (l *serverLogger) whileBuilding(build func() error) (err error) {
	l.state.building.Store(true)
	defer func() {
		l.state.building.Store(false)
		switch r := recover().(type) {
		case nil:
		case fatal:
			err = r.cause
		default:
			panic(r)
		}
	}()
	return build()
}

// SLog is what the server's own libraries log through.
func (l *serverLogger) SLog() *slog.Logger { return l.slog }

// With returns a logger that adds tags to each line.
func (l *serverLogger) With(tags ...tag.Tag) log.Logger {
	return &serverLogger{slog: slog.New(l.slog.Handler().WithAttrs(attrs(tags))), state: l.state}
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

// fatal carries Fatal's cause out of the building of a server.
type fatal struct{ cause error }

// Fatal reports the server as dead and ends the calling goroutine. The server expects the process to end here, which is
// not its decision to take: a dump may be under way. Returning would run code that relies on what just failed.
func (l *serverLogger) Fatal(msg string, tags ...tag.Tag) {
	err := fmt.Errorf("temporal server: %s", msg)
	for _, t := range tags {
		if t.Key() == errorKey {
			err = fmt.Errorf("%w: %v", err, value(t))
		}
	}
	if l.state.building.Load() {
		// Here the caller is ours and gets the error back. Goexit would not do: sync.OnceValue, through which the server
		// opens its ports, turns it into a panic without a value.
		panic(fatal{err})
	}
	l.write(slog.LevelError, msg, tags)
	l.state.fail(err)
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
		out = append(out, slog.Any(t.Key(), value(t)))
	}
	return out
}

// errorKey is the key of tag.Error.
const errorKey = "error"

// value gives an error's text. The tag's own Value gives at random that or the text with a stack trace.
func value(t tag.Tag) any {
	if z, ok := t.(tag.ZapTag); ok {
		if err, ok := z.Field().Interface.(error); ok {
			return err.Error()
		}
	}
	return t.Value()
}

// levelGate drops lines below a level that can change while the server runs.
type levelGate struct {
	slog.Handler
	state *logState
}

func (g *levelGate) Enabled(ctx context.Context, level slog.Level) bool {
	return int64(level) >= g.state.least.Load() && g.Handler.Enabled(ctx, level)
}

func (g *levelGate) WithAttrs(a []slog.Attr) slog.Handler {
	return &levelGate{Handler: g.Handler.WithAttrs(a), state: g.state}
}

func (g *levelGate) WithGroup(name string) slog.Handler {
	return &levelGate{Handler: g.Handler.WithGroup(name), state: g.state}
}
