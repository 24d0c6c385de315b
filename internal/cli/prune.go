package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"canton-backup/activities"
	"canton-backup/internal/retention"
	"canton-backup/workflows"
)

// planned is one store's part of `prune`; with --json this is the contract.
type planned struct {
	Store     string               `json:"store"`
	Decisions []retention.Decision `json:"decisions"`
}

func newPrune(c *command) *cobra.Command {
	var confirm bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Print what retention would delete; delete it with --confirm", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runPrune(cmd.Context(), confirm) },
	}
	cmd.Flags().BoolVar(&confirm, "confirm", false, "delete")
	return cmd
}

func (c *command) runPrune(ctx context.Context, confirm bool) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	if confirm {
		var result workflows.PruneResult
		if err := c.run(ctx, s, workflows.Prune, "prune", workflows.PruneInput{Targets: s.Targets}, &result); err != nil {
			return err
		}
		return c.print(result, func(w io.Writer) error {
			for _, p := range result.Stores {
				text := fmt.Sprintf("%s: %d removed, %d kept", p.Location, len(p.Removed), p.Kept)
				if p.Denied != "" {
					text += "; it may not delete there: " + p.Denied
				}
				if _, err := fmt.Fprintln(w, text); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if _, err := mine(ctx, s); err != nil {
		return err
	}
	all, err := shelves(ctx, s, "")
	if err != nil {
		return err
	}
	plans := make([]planned, len(all))
	released := 0
	for i, shelf := range all {
		plans[i] = planned{Store: shelf.Name, Decisions: activities.PlanPrune(time.Now(), shelf.Listing, s.Retention)}
		released += len(retention.Released(plans[i].Decisions))
	}
	err = c.print(plans, func(w io.Writer) error {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, p := range plans {
			for _, d := range p.Decisions {
				fate := "keep"
				if !d.Keep {
					fate = "delete"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", p.Store, d.ID, fate, d.Reason)
			}
		}
		return t.Flush()
	})
	if released > 0 {
		fmt.Fprintf(c.talk(), "%d to delete. Nothing was deleted; do it with: canton-backup prune --confirm\n", released)
	} else {
		fmt.Fprintln(c.talk(), "Nothing to delete.")
	}
	return err
}
