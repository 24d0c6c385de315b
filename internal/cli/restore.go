package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"canton-backup/activities"
	"canton-backup/internal/app"
	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/restore"
	"canton-backup/workflows"
)

// restoreOptions are the flags of `restore`.
type restoreOptions struct {
	from      string
	only      string
	override  []string
	startArgs []string
	plan      bool
	yes       bool
	key       string
	dropOld   bool
}

func newRestore(c *command) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use: "restore [SET|latest]", Short: "Bring the node back from a set", Args: cobra.MaximumNArgs(1),
		Long: `Bring the node back from a set: load it beside the present databases, check it, swap by rename, start the node and wait until it is
healthy. Whatever fails on the way is undone. The old databases stay until you drop them.
Prints the plan and asks first. What stands against a restore is a gate; --override answers for one:
` + gateHelp(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.dropOld {
				return c.runDropOld(cmd.Context(), o.yes)
			}
			return c.runRestore(cmd.Context(), pick(args), o)
		},
	}
	cmd.Flags().StringVar(&o.from, "from", "", "take the set from this store: local, or a target of BACKUP_TYPE (default: where it is found first)")
	cmd.Flags().StringVar(&o.only, "only", "", "restore one half alone: validator or participant")
	cmd.Flags().StringSliceVar(&o.override, "override", nil, "answer for a gate, by its name; may be given several times")
	cmd.Flags().StringArrayVar(&o.startArgs, "start-arg", nil, "argument of start.sh; give all of them, each with its own --start-arg, instead of the recorded ones")
	cmd.Flags().BoolVar(&o.plan, "plan", false, "print the plan and change nothing")
	cmd.Flags().BoolVar(&o.dropOld, "drop-old", false, "restore nothing: drop the databases that earlier restores and rollbacks left")
	cmd.Flags().StringVar(&o.key, "key", "", keyHelp)
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	return cmd
}

func gateHelp() string {
	var b strings.Builder
	for _, g := range restore.Gates {
		fmt.Fprintf(&b, "  %-13s %s\n", g.Name, g.Meaning)
	}
	return strings.TrimRight(b.String(), "\n")
}

func (c *command) runRestore(ctx context.Context, set string, o restoreOptions) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	host, done, err := app.Planner(c.file)
	if err != nil {
		return err
	}
	request := activities.RestoreRequest{Stamp: backupset.NewID(time.Now()), Set: set, From: o.from, Only: backupset.Role(o.only), Override: o.override, StartArgs: o.startArgs}
	plan, err := activities.PlanRestore(ctx, host, s, request)
	if err := errors.Join(err, done()); err != nil {
		return named(err)
	}
	if o.plan {
		return errors.Join(c.print(plan, func(w io.Writer) error { return printPlan(w, plan) }), refused(plan))
	}
	if err := printPlan(c.talk(), plan); err != nil {
		return err
	}
	if err := refused(plan); err != nil {
		return err
	}
	if !o.yes {
		if err := c.ask(s.Node.Name); err != nil {
			return err
		}
	}
	var components []backupset.Component
	for _, h := range plan.Halves {
		components = append(components, h.Component)
	}
	if err := c.lend(ctx, s, o.key, components); err != nil {
		return err
	}
	var result workflows.RestoreResult
	input := workflows.RestoreInput{Set: string(plan.Set), From: plan.From, Only: request.Only, Override: o.override, StartArgs: o.startArgs, Approved: true}
	if set == catalog.Latest {
		input.From = o.from // what is newest is looked up again
	}
	if err := c.run(ctx, s, workflows.Restore, "restore", input, &result); err != nil {
		return err
	}
	return c.print(result, func(w io.Writer) error { _, err := fmt.Fprintln(w, result.Set); return err })
}

// named gives an error of the domain the name that the activities have for it, and with it its exit code and its next step.
func named(err error) error {
	return &namedError{err, activities.ErrorName(err)}
}

// refused is the error of a plan that may not be carried out.
func refused(p activities.RestorePlan) error {
	var texts []string
	for _, g := range p.Refused() {
		texts = append(texts, g.Name+": "+g.Detail)
	}
	if len(texts) == 0 {
		return nil
	}
	return &namedError{fmt.Errorf("restore of set %s refused: %s", p.Set, strings.Join(texts, "; ")), activities.RestoreRefused}
}

func printPlan(w io.Writer, p activities.RestorePlan) error {
	out := &printer{w: w}
	for i, line := range p.Text {
		if i == 0 {
			out.linef("Plan: %s", line)
		} else {
			out.linef("  %s", line)
		}
	}
	for _, g := range p.Gates {
		state := "REFUSED"
		if g.Overridden {
			state = "overridden"
		}
		out.linef("  %s %s — %s", state, g.Name, g.Detail)
	}
	out.linef("  afterwards:")
	for _, line := range p.After {
		out.linef("  - %s", line)
	}
	return out.err
}

// ask wants the node's name typed: what is about to happen stops a validator.
func (c *command) ask(node string) error {
	fmt.Fprintf(c.Err, "This stops the validator. Type the node's name (%s) to go on: ", node)
	answer, err := bufio.NewReader(c.In).ReadString('\n')
	if err != nil && strings.TrimSpace(answer) == "" {
		return &exitError{ExitUsage, errors.New("nobody answered; --yes answers in a script")}
	}
	if strings.TrimSpace(answer) != node {
		return &exitError{ExitCancelled, errors.New("not confirmed, nothing was done")}
	}
	return nil
}
