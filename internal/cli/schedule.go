package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"canton-backup/internal/app"
	"canton-backup/internal/config"
	"canton-backup/internal/health"
	"canton-backup/workflows"
)

func newSchedule(c *command) *cobra.Command {
	cmd := &cobra.Command{Use: "schedule", Short: "Show or change the schedule"}
	sub := func(use, short string, do func(context.Context, client.Client, config.Settings) error) {
		cmd.AddCommand(&cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), do)
		}})
	}
	sub("show", "Show interval, state and next runs", func(ctx context.Context, cl client.Client, s config.Settings) error {
		shown, err := showSchedule(ctx, cl, s.Node.Name)
		if err != nil {
			return err
		}
		return c.print(shown, func(w io.Writer) error { return printSchedule(w, shown) })
	})
	sub("apply", "Make the schedule what the settings say", func(ctx context.Context, cl client.Client, s config.Settings) error {
		if err := app.ApplySchedule(ctx, cl, s); err != nil {
			return err
		}
		fmt.Fprintf(c.talk(), "Schedule %s runs every %s.\n", workflows.ScheduleID(s.Node.Name), s.Every)
		return nil
	})
	sub("pause", "Stop starting runs until resumed", func(ctx context.Context, cl client.Client, s config.Settings) error {
		err := handle(ctx, cl, s).Pause(ctx, client.SchedulePauseOptions{Note: "paused by canton-backup schedule pause"})
		if err != nil {
			return fmt.Errorf("pause schedule: %w", err)
		}
		fmt.Fprintln(c.talk(), "Paused: NO backup runs until: canton-backup schedule resume")
		return nil
	})
	sub("resume", "Start runs again", func(ctx context.Context, cl client.Client, s config.Settings) error {
		err := handle(ctx, cl, s).Unpause(ctx, client.ScheduleUnpauseOptions{Note: "resumed by canton-backup schedule resume"})
		if err != nil {
			return fmt.Errorf("resume schedule: %w", err)
		}
		fmt.Fprintln(c.talk(), "Resumed.")
		return nil
	})
	sub("trigger", "Start a run now, as the schedule would", func(ctx context.Context, cl client.Client, s config.Settings) error {
		if err := handle(ctx, cl, s).Trigger(ctx, client.ScheduleTriggerOptions{}); err != nil {
			return fmt.Errorf("trigger schedule: %w", err)
		}
		fmt.Fprintln(c.talk(), "Triggered. See it with: canton-backup status")
		return nil
	})
	return cmd
}

// withClient connects to Temporal for a command that needs a server but no worker of its own.
func (c *command) withClient(ctx context.Context, do func(context.Context, client.Client, config.Settings) error) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	cl, err := dial(ctx, s)
	if err != nil {
		return err
	}
	defer cl.Close()
	return do(ctx, cl, s)
}

func handle(ctx context.Context, cl client.Client, s config.Settings) client.ScheduleHandle {
	return cl.ScheduleClient().GetHandle(ctx, workflows.ScheduleID(s.Node.Name))
}

// showSchedule describes the schedule of backups, which is an error when there is none.
func showSchedule(ctx context.Context, cl client.Client, node string) (health.Schedule, error) {
	shown, err := app.ShowSchedule(ctx, cl, workflows.ScheduleID(node))
	if err != nil {
		return health.Schedule{}, err
	}
	if shown.Missing {
		return health.Schedule{}, fmt.Errorf("show schedule %s: it is not there; make it with: canton-backup schedule apply", shown.ID)
	}
	return *shown, nil
}

func printSchedule(w io.Writer, s health.Schedule) error {
	state := "runs every " + s.Every.String()
	if s.Paused {
		state = "PAUSED (" + s.Note + ")"
	}
	if _, err := fmt.Fprintf(w, "%s: %s\n", s.ID, state); err != nil {
		return err
	}
	for i, next := range s.Next {
		if i == 3 || s.Paused {
			break
		}
		if _, err := fmt.Fprintf(w, "  next: %s\n", next.Local().Format(time.RFC3339)); err != nil {
			return err
		}
	}
	if s.Missed > 0 {
		_, err := fmt.Fprintf(w, "  missed: %d runs while no worker was there\n", s.Missed)
		return err
	}
	return nil
}
