package activities

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"canton-backup/internal/config"
	"canton-backup/internal/notify"
)

func TestMapped_NamesEveryRule(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name+" "+r.is.Error(), func(t *testing.T) {
			err := mapped(t.Context(), fmt.Errorf("put x: %w: details", r.is))
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			require.Equal(t, r.name, app.Type())
			require.Equal(t, !r.retry, app.NonRetryable())
			require.Contains(t, app.Message(), "details")
			require.NoError(t, errors.Unwrap(app), "only the text is stored, causes may hold what must not be")
		})
	}
}

func TestNextStep_EveryNameHasOne(t *testing.T) {
	for _, r := range rules {
		if r.name == WorkerStopping || r.name == AlertRejected {
			continue // nobody waits for the operator there
		}
		require.Contains(t, nextSteps, r.name)
	}
	require.Contains(t, NextStep("never heard of"), "Temporal UI")
}

func TestMapped_SpecialCases(t *testing.T) {
	require.NoError(t, mapped(t.Context(), nil))
	require.Equal(t, ConfigInvalid, ErrorName(fmt.Errorf("x: %w", &config.Error{})))
	require.Equal(t, InsufficientSpace, ErrorName(&wrapped{syscall.ENOSPC}))
	require.Equal(t, StepFailed, ErrorName(errors.New("new to us")))

	var app *temporal.ApplicationError
	require.ErrorAs(t, mapped(t.Context(), &notify.RetryError{After: 17 * time.Second}), &app)
	require.Equal(t, 17*time.Second, app.NextRetryDelay())

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, mapped(cancelled, errors.New("dump: broken pipe")), context.Canceled)

	stopping, stop := context.WithCancelCause(t.Context())
	stop(errStopping)
	require.ErrorAs(t, mapped(stopping, errors.New("dump: broken pipe")), &app)
	require.Equal(t, WorkerStopping, app.Type())
	require.False(t, app.NonRetryable(), "the next worker takes the step up again")
}

type wrapped struct{ error }

func (w *wrapped) Unwrap() error { return w.error }
