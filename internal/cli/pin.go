package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/store"
)

// pinned is one store's part of `pin` and `unpin`; with --json this is the contract.
type pinned struct {
	Set    backupset.ID `json:"set"`
	Store  string       `json:"store"`
	Pinned string       `json:"pinned,omitempty"` // why it is kept there from now on, empty when its age decides
	Error  string       `json:"error,omitempty"`  // nothing was changed there, or it is not known
}

func newPin(c *command) *cobra.Command {
	var reason, only string
	cmd := &cobra.Command{
		Use: "pin SET|latest --reason TEXT", Short: "Keep a set from every prune, until unpin", Args: cobra.ExactArgs(1),
		Long: `Keep a set of this node from every prune, in this host's store and at every target that has it, until unpin. The pin is an object of
its own beside the set, with the reason. To pin it for another reason, unpin it first.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := backupset.NewPin(backupset.Manifest{Set: "20000101_000000", Node: "any"}, reason, time.Time{}); err != nil {
				return &exitError{ExitUsage, fmt.Errorf("--reason: %w", err)}
			}
			return c.repin(cmd.Context(), args[0], only, reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why it must stay, one line")
	cmd.Flags().StringVar(&only, "store", "", "only in this store: local, or a target of BACKUP_TYPE")
	return cmd
}

func newUnpin(c *command) *cobra.Command {
	var only string
	cmd := &cobra.Command{
		Use: "unpin SET|latest", Short: "Let a pinned set go when its age says so", Args: cobra.ExactArgs(1),
		Long: `Take the pin of a set away, in this host's store and at every target that has it. The next prune may delete the set.`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.repin(cmd.Context(), args[0], only, "") },
	}
	cmd.Flags().StringVar(&only, "store", "", "only in this store: local, or a target of BACKUP_TYPE")
	return cmd
}

// repin pins a set for a reason, or unpins it without one, in every store that has it. It waits for no other run of the node, and no
// prune that runs meanwhile takes a set that it reports as pinned: catalog.Pin says why.
func (c *command) repin(ctx context.Context, id, only, reason string) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	own, err := mine(ctx, s)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "canton-backup-pin-")
	if err != nil {
		return fmt.Errorf("make a folder for the pin: %w", err)
	}
	defer os.RemoveAll(scratch)
	all, errs := shelves(ctx, s, only)
	if len(all) == 0 {
		return errs
	}
	if latest, found := newest(all, time.Now()); found && id == catalog.Latest {
		id = latest
	}
	results := []pinned{}
	failed := 0
	for _, shelf := range all {
		e, err := shelf.Listing.Find(id, time.Now())
		if err != nil {
			continue
		}
		r := pinned{Set: e.Manifest.Set, Store: shelf.Name, Pinned: reason}
		if reason != "" {
			err = catalog.Pin(ctx, shelf.Store, own, e.Manifest, reason, time.Now(), scratch)
		} else {
			err = catalog.Unpin(ctx, shelf.Store, own, e.Manifest)
		}
		if err != nil {
			failed++
			r.Pinned, r.Error = e.Pinned, err.Error()
			errs = errors.Join(errs, fmt.Errorf("%s: %w", shelf.Name, err))
		}
		results = append(results, r)
	}
	switch {
	case len(results) == 0 && errs == nil:
		return fmt.Errorf("find set %s: %w: see canton-backup list", id, store.ErrNotFound)
	case len(results) == 0:
		return errs
	case errs != nil && failed < len(results) && ctx.Err() == nil:
		errs = &exitError{ExitIncomplete, errs}
	}
	return errors.Join(c.print(results, func(w io.Writer) error {
		for _, r := range results {
			text := "not pinned"
			if r.Pinned != "" {
				text = "pinned: " + r.Pinned
			}
			if r.Error != "" {
				text = "FAILED — " + r.Error
			}
			if _, err := fmt.Fprintf(w, "%s %s: %s\n", r.Store, r.Set, text); err != nil {
				return err
			}
		}
		return nil
	}), errs)
}
