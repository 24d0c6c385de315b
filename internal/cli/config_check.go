package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"canton-backup/activities"
	"canton-backup/internal/app"
	"canton-backup/internal/config"
	"canton-backup/internal/store"
	"canton-backup/internal/store/prove"
)

func newConfigCheck(c *command) *cobra.Command {
	var targets bool
	cmd := &cobra.Command{
		Use: "check", Short: "Report everything that is wrong with the settings, and prove the targets",
		Long: `Report everything that is wrong with the settings. This reads the file alone, and takes no time.

With --targets it proves each target on its real place: in a scratch folder, which goes again, it puts files, reads
them back, cuts an upload and goes on with it, tries to overwrite, lists and deletes. Some 50 MB travel to each target.
Where the key may not delete, the scratch folder stays, with some 10 MB, and its name is told.
Exit code 1 when a target fails.`,
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.settings()
			if err != nil {
				return err
			}
			if !targets {
				fmt.Fprintf(c.talk(), "%s is fine.\n", s.File)
				return nil
			}
			return c.proveTargets(cmd.Context(), s)
		},
	}
	cmd.Flags().BoolVar(&targets, "targets", false, "prove each target on its real place, in a scratch folder")
	return cmd
}

// proof is one line of `config check --targets`; with --json this is the contract.
type proof struct {
	Target  string `json:"target"`
	Check   string `json:"check"`
	Verdict string `json:"verdict"` // OK, WARNING, FAILED
	Detail  string `json:"detail,omitempty"`
	Next    string `json:"next,omitempty"`
}

func (c *command) proveTargets(ctx context.Context, s config.Settings) error {
	lines := &printer{w: c.Out} // as they come: a slow target takes minutes
	proofs, bad := []proof{}, false
	report := func(target, check string, err error) {
		p := proof{Target: target, Check: check, Verdict: ok}
		if err != nil {
			p.Verdict, p.Detail, p.Next = failed, err.Error(), activities.NextStep(activities.ErrorName(err))
			if errors.Is(err, store.ErrNoDelete) {
				p.Verdict, p.Next = warning, ""
			}
		}
		bad = bad || p.Verdict == failed
		proofs = append(proofs, p)
		if c.json {
			return
		}
		lines.linef("%s: %s: %s%s", p.Target, p.Check, p.Verdict, dash(p.Detail))
		if p.Next != "" {
			lines.linef("  Try: %s", p.Next)
		}
	}
	for _, kind := range s.Targets {
		proveTarget(ctx, s, kind, func(check string, err error) { report(string(kind), check, err) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if len(s.Targets) == 0 {
		fmt.Fprintln(c.talk(), "There is no target: BACKUP_TYPE=skip.")
	}
	err := c.print(proofs, func(io.Writer) error { return lines.err })
	if bad {
		return errors.Join(&exitError{ExitFailed, errors.New("a target is not fit to keep backups")}, err)
	}
	return err
}

// proveTarget begins with the quick look: on a target that cannot be reached, seven checks would say the same.
func proveTarget(ctx context.Context, s config.Settings, kind config.Kind, report func(check string, err error)) {
	target, err := app.RemoteStore(s, kind)
	if err == nil {
		err = target.Check(ctx)
	}
	report("reach, list, read, write, delete", err)
	keeps := errors.Is(err, store.ErrNoDelete)
	if err != nil && !keeps {
		return
	}
	if err := prove.Target(ctx, target, keeps, func(r prove.Result) { report(r.Name, r.Err) }); err != nil {
		report("open a scratch folder", err)
	}
}
