package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"canton-backup/activities"
	"canton-backup/internal/app"
	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
	"canton-backup/internal/restore"
	"canton-backup/internal/store"
	"canton-backup/workflows"
)

func newRollback(c *command) *cobra.Command {
	var yes bool
	var startArgs []string
	cmd := &cobra.Command{
		Use: "rollback [STAMP]", Short: "Take a restore back: the databases that it put aside get their names again", Args: cobra.MaximumNArgs(1),
		Long: `Take a restore back: the databases that it put aside get their names again, and what it had brought is put aside in turn.
STAMP is that of the restore, as it stands in the names of the old databases (see canton-backup status); the newest without one.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			of := backupset.ID("")
			if len(args) > 0 {
				var err error
				if of, err = backupset.ParseID(args[0]); err != nil {
					return &exitError{ExitUsage, err}
				}
			}
			return c.runRollback(cmd.Context(), of, startArgs, yes)
		},
	}
	cmd.Flags().StringArrayVar(&startArgs, "start-arg", nil, "argument of start.sh; give all of them, each with its own --start-arg, when the node does not run")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (c *command) runRollback(ctx context.Context, of backupset.ID, startArgs []string, yes bool) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	kept, err := c.kept(ctx, s)
	if err != nil {
		return named(err)
	}
	for _, k := range kept {
		if k.Purpose != restore.Before || of != "" && k.Stamp != of {
			continue
		}
		for _, d := range k.Databases {
			fmt.Fprintf(c.talk(), "%s gets the name %s again\n", d.Name, d.Live)
		}
		if !yes {
			if err := c.ask(s.Node.Name); err != nil {
				return err
			}
		}
		var result workflows.RollbackResult
		if err := c.run(ctx, s, workflows.Rollback, "rollback", workflows.RollbackInput{Of: k.Stamp, StartArgs: startArgs}, &result); err != nil {
			return err
		}
		return c.print(result, func(w io.Writer) error { _, err := fmt.Fprintln(w, result.Of); return err })
	}
	return fmt.Errorf("roll back: %w: no databases that a restore put aside; see canton-backup status", store.ErrNotFound)
}

// kept finds what restores and rollbacks left on the node's server.
func (c *command) kept(ctx context.Context, s config.Settings) ([]restore.Kept, error) {
	host, done, err := app.Planner(c.file)
	if err != nil {
		return nil, err
	}
	kept, _, err := activities.KeptDatabases(ctx, host, s)
	return kept, errors.Join(err, done())
}

// runDropOld drops what restores and rollbacks left.
func (c *command) runDropOld(ctx context.Context, yes bool) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	kept, err := c.kept(ctx, s)
	if err != nil {
		return named(err)
	}
	if len(kept) == 0 {
		fmt.Fprintln(c.talk(), "There is nothing to drop.")
		return nil
	}
	for _, k := range kept {
		fmt.Fprintf(c.talk(), "to drop: %s\n", keptLine(k))
	}
	if !yes {
		if err := c.ask(s.Node.Name); err != nil {
			return err
		}
	}
	var dropped activities.Dropped
	if err := c.run(ctx, s, workflows.DropOld, "drop-old", workflows.DropOldInput{}, &dropped); err != nil {
		return err
	}
	return c.print(dropped, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%d databases dropped, %s\n", len(dropped.Databases), humanize.IBytes(uint64(dropped.Bytes)))
		return err
	})
}

func keptLine(k restore.Kept) string {
	names := make([]string, len(k.Databases))
	for i, d := range k.Databases {
		names[i] = d.Name
	}
	return fmt.Sprintf("%s, %s", strings.Join(names, ", "), humanize.IBytes(uint64(k.Bytes())))
}
