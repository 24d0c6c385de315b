package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// story is a clock that jumps over every wait, and what the operator was told when.
type story struct {
	*outage
	at    time.Time
	waits []time.Duration
	told  []string
	overs int    // tries to say that one of which the operator heard is over
	note  string // what is wrong with a message that got out
	deaf  int    // messages that do not get out
	log   bytes.Buffer
}

var began = time.Date(2026, 11, 3, 4, 0, 0, 0, time.UTC)

func newStory() *story {
	s := &story{at: began}
	s.outage = &outage{address: "temporal.example:7233", logger: slog.New(slog.NewTextHandler(&s.log, nil)),
		clock: clock{now: func() time.Time { return s.at }, wait: func(ctx context.Context, d time.Duration) error {
			s.at = s.at.Add(d)
			s.waits = append(s.waits, d)
			return ctx.Err()
		}},
		over: func() error {
			s.overs++
			if s.deaf > 0 {
				s.deaf--
				return errors.New("no route to host")
			}
			return nil
		},
		tell: func(uptime time.Duration, cause error) (string, error) {
			if s.deaf > 0 {
				s.deaf--
				return "", errors.New("no route to host")
			}
			s.told = append(s.told, fmt.Sprintf("%v up %v: %v", s.at.Sub(began), uptime, cause))
			return s.note, nil
		}}
	return s
}

var down = serviceerror.NewUnavailable("connection refused")

func TestOutage_atStart(t *testing.T) {
	s := newStory()
	attempts := 0
	_, err := s.dial(t.Context(), func(context.Context) (client.Client, error) {
		attempts++
		if s.at.Sub(began) < 21*time.Minute {
			return nil, down
		}
		return nil, nil
	})
	require.NoError(t, err)
	require.Equal(t, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 30e9, 30e9}, s.waits[:7])
	require.Equal(t, attempts-1, strings.Count(s.log.String(), "does not answer"), "a line for each attempt")
	require.Contains(t, s.log.String(), "answers again")
	require.Len(t, s.told, 1)
	require.Contains(t, s.told[0], "up 0s: temporal at temporal.example:7233 unreachable since 2026-11-03 04:00 UTC: connection refused")
	require.True(t, strings.HasPrefix(s.told[0], "10m"), s.told[0])
}

func TestOutage_atStart_ends(t *testing.T) {
	s := newStory()
	_, err := s.dial(t.Context(), func(context.Context) (client.Client, error) {
		return nil, fmt.Errorf("connect: %w", serviceerror.NewPermissionDenied("no", ""))
	})
	require.ErrorContains(t, err, "no")
	require.Empty(t, s.waits, "another attempt gets the same answer")

	ctx, cancel := context.WithCancel(t.Context())
	_, err = s.dial(ctx, func(context.Context) (client.Client, error) {
		cancel()
		return nil, down
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, s.told)
}

// Two outages, the second for half a day while the first messages do not get out, and a stumble that nobody hears of.
func TestOutage_later(t *testing.T) {
	s := newStory()
	s.answered()
	ctx, cancel := context.WithCancel(t.Context())
	between := func(from, to time.Duration) bool { d := s.at.Sub(began); return from <= d && d < to }
	s.watch(ctx, func(context.Context) error {
		switch {
		case between(time.Hour, time.Hour+12*time.Minute), between(2*time.Hour, 2*time.Hour+9*time.Minute):
			return down
		case between(3*time.Hour, 15*time.Hour):
			if between(3*time.Hour, 3*time.Hour+20*time.Minute) {
				s.deaf = 1
			}
			return down
		case between(15*time.Hour, 16*time.Hour):
			return nil
		case s.at.Sub(began) >= 16*time.Hour:
			cancel()
		}
		return nil
	})
	require.Greater(t, len(s.told), 40, "the ledger of alerts decides whether a quarter of an hour later is too soon")
	require.Equal(t, 2, s.overs, "the short one needed no word")
	require.True(t, strings.HasPrefix(s.told[0], "1h10m0s up 1h0m0s:"), s.told[0])
	require.True(t, strings.HasPrefix(s.told[1], "3h20m0s up 51m0s:"), s.told[1])
	require.Contains(t, s.told[1], "since 2026-11-03 07:00 UTC")
	require.True(t, strings.HasPrefix(s.told[2], "3h35m0s up 0s:"), "still down: "+s.told[2])
	require.Equal(t, 3, strings.Count(s.log.String(), "answers again"))
}

// What is wrong beside a message that got out is no reason to send it again, and an end that not all heard of is told at the next probe.
func TestOutage_hearsHalf(t *testing.T) {
	s := newStory()
	s.note = "alert: pagerduty: no line"
	for range 30 { // a quarter of an hour
		s.failed(down)
		s.at = s.at.Add(probeEvery)
	}
	require.Len(t, s.told, 1)
	require.Contains(t, s.log.String(), "pagerduty: no line")
	s.deaf = 2
	for range 4 {
		s.answered()
	}
	require.Equal(t, 3, s.overs, "told until it was heard, and no longer")

	s.deaf = 1
	for range 30 {
		s.failed(down)
		s.at = s.at.Add(probeEvery)
	}
	s.failed(down)
	require.Len(t, s.told, 2)
	s.deaf = 1
	s.answered()
	s.failed(down) // a stumble, while the end of the one before is not heard
	s.answered()
	s.answered()
	require.Equal(t, 5, s.overs)
	require.Len(t, s.told, 2)
}

// The end of trouble is told until all have heard of it.
func TestSettle(t *testing.T) {
	s := newStory()
	tries := 0
	settle(t.Context(), s.clock, s.logger, func(context.Context) error {
		if tries++; tries < 4 {
			return errors.New("pagerduty: no line")
		}
		return nil
	})
	require.Equal(t, 4, tries)
	require.Equal(t, []time.Duration{Steady, Steady, Steady, Steady}, s.waits)
	ctx, cancel := context.WithCancel(t.Context())
	settle(ctx, s.clock, s.logger, func(context.Context) error { cancel(); return errors.New("no line") })
	require.Len(t, s.waits, 6)
}
