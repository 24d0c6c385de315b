package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"canton-backup/activities"
	"canton-backup/workflows"
)

func newDrill(c *command) *cobra.Command {
	var from, key string
	cmd := &cobra.Command{
		Use: "drill [SET|latest]", Short: "Prove that a set restores", Args: cobra.MaximumNArgs(1),
		Long: `Fetch a set from a target, load it into a throw-away server without a network, make the checks of the backup and compare every row with what
was dumped. The node is not touched. The result is kept beside the set's manifest.`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.runDrill(cmd.Context(), pick(args), from, key) },
	}
	cmd.Flags().StringVar(&from, "from", "", "try the copy of this store: local, or a target of BACKUP_TYPE (default: the first of BACKUP_TYPE)")
	cmd.Flags().StringVar(&key, "key", "", keyHelp)
	return cmd
}

func (c *command) runDrill(ctx context.Context, set, from, key string) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	if err := c.lendFor(ctx, s, key, set, from); err != nil {
		return err
	}
	var drilled activities.Drilled
	if err := c.run(ctx, s, workflows.Drill, "drill", workflows.DrillInput{Set: set, From: from}, &drilled); err != nil {
		return err
	}
	return c.print(drilled, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s %s: %d tables, %d rows equal; a restore takes %.0f s (fetch %.0f s, load %.0f s)\n", drilled.Set, drilled.Verdict, drilled.Tables, drilled.Rows,
			drilled.FetchS+drilled.LoadS, drilled.FetchS, drilled.LoadS)
		return err
	})
}
