package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"canton-backup/activities"
	"canton-backup/internal/config"
)

// PruneInput is the input of Prune. The zero value prunes this host and no target.
type PruneInput struct {
	Targets []config.Kind `json:"targets,omitempty"`
}

// PruneResult says what was deleted where.
type PruneResult struct {
	Stores []activities.Pruned `json:"stores"`
}

// Prune deletes the sets that the retention settings release, without making a new one.
func Prune(ctx workflow.Context, in PruneInput) (PruneResult, error) {
	var result PruneResult
	err := underLock(ctx, PruneNode, in, &result)
	return result, err
}

// PruneNode is the body of Prune, run under the node's lock.
func PruneNode(ctx workflow.Context, in PruneInput) (PruneResult, error) {
	if err := lockedOnly(ctx, "Prune"); err != nil {
		return PruneResult{}, err
	}
	journal, err := newJournal(ctx)
	if err != nil {
		return PruneResult{}, err
	}
	var result PruneResult
	apply := func(where string, activity any, in activities.PruneInput) error {
		var pruned activities.Pruned
		if err := workflow.ExecuteActivity(pruneClass.options(ctx, where), activity, in).Get(ctx, &pruned); err != nil {
			if !temporal.IsCanceledError(err) {
				name, text := cause(err)
				journal.say(ctx, "✗ Prune of %s failed: %s: %s", where, name, text)
			}
			return err
		}
		if pruned.Denied != "" {
			journal.say(ctx, "⚠ %s", cannotPrune(pruned))
		} else {
			journal.say(ctx, "✓ Pruned %d old set(s) at %s, %d kept", len(pruned.Removed), pruned.Location, pruned.Kept)
		}
		result.Stores = append(result.Stores, pruned)
		return nil
	}
	if err := apply("local", prunes.PruneLocal, activities.PruneInput{}); err != nil {
		return result, err
	}
	for _, target := range in.Targets {
		if err := apply(string(target), prunes.PruneRemote, activities.PruneInput{Target: target}); err != nil {
			return result, err
		}
	}
	return result, nil
}

// cannotPrune says what the operator of a key without the right to delete has to know.
func cannotPrune(p activities.Pruned) string {
	return fmt.Sprintf("%s takes our sets and may not delete here: prune it another way, see docs/how-to/retention.md: %s", p.Location, p.Denied)
}
