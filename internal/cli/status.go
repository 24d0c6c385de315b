package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"canton-backup/internal/app"
	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
	"canton-backup/internal/health"
)

func newStatus(c *command) *cobra.Command {
	var nagios, all bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show on one screen whether the node could be restored, and to when", Args: cobra.NoArgs,
		Long: `Show on one screen whether the node could be restored, and to when: newest sets, schedule, recent runs, drill, and what is
not as it should be with the next command for it. With --json it prints the report that the status page and the metrics are made of.

With --nagios it prints one line with performance data and exits as Nagios, Icinga and Checkmk expect: 0 OK, 1 WARNING, 2 CRITICAL,
3 UNKNOWN.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all {
				return c.fleet(cmd.Context())
			}
			s, err := c.settings()
			if err != nil {
				if nagios {
					return c.nagiosUnknown(err)
				}
				return err
			}
			r := c.look(cmd.Context(), s)
			if nagios {
				return c.nagios(r)
			}
			r.Kept, _ = c.kept(cmd.Context(), s) // a node that is down has more to worry about
			return c.print(r, func(w io.Writer) error { return printStatus(w, r) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "show every node of the Temporal namespace, the worst first")
	cmd.Flags().BoolVar(&nagios, "nagios", false, "one line and an exit code for Nagios, Icinga and Checkmk")
	cmd.MarkFlagsMutuallyExclusive("all", "nagios")
	return cmd
}

// look looks at everything now: a part that cannot be read says so in its place, and the rest is still shown.
func (c *command) look(ctx context.Context, s config.Settings) health.Report {
	cl, err := dial(ctx, s)
	if err == nil {
		defer cl.Close()
	}
	return app.Health(ctx, c.file, cl, err)
}

// nagiosCodes are the exit codes of a plugin (monitoring-plugins.org, "Plugin Return Codes").
var nagiosCodes = map[health.Verdict]struct {
	code int
	word string
}{health.OK: {0, "OK"}, health.Warning: {1, "WARNING"}, health.Failed: {2, "CRITICAL"}}

func (c *command) nagios(r health.Report) error {
	state := nagiosCodes[r.Verdict]
	text := "no problem"
	if len(r.Problems) > 0 {
		first := r.Problems[0]
		text = first.Key() + ": " + first.Detail
		if more := len(r.Problems) - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more)", more)
		}
	}
	var data strings.Builder
	if r.LastGood != nil {
		fmt.Fprintf(&data, " age=%ds;;%d;0", r.LastGood.AgeS, r.FreshS)
	}
	if r.Disk != nil {
		fmt.Fprintf(&data, " free=%dB;;;0;%d", r.Disk.Free, r.Disk.Total)
	}
	// One line: a line break or a bar in a text from outside would end it.
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c == '|' {
			return ' '
		}
		return c
	}, text)
	_, err := fmt.Fprintf(c.Out, "CANTON-BACKUP %s - %s |%s\n", state.word, text, data.String())
	if err == nil && state.code != 0 {
		err = &silentExit{state.code}
	}
	return err
}

func (c *command) nagiosUnknown(cause error) error {
	_, err := fmt.Fprintf(c.Out, "CANTON-BACKUP UNKNOWN - %s\n", strings.ReplaceAll(cause.Error(), "\n", "; "))
	return errors.Join(err, &silentExit{3})
}

func printStatus(w io.Writer, r health.Report) error {
	p := &printer{w: w}
	p.linef("node %s (%s): %s", r.Node, r.Network, r.Verdict)
	for _, problem := range r.Problems {
		p.linef("  %-7s %s: %s", problem.Verdict, problem.Key(), problem.Detail)
		p.linef("          Try: %s", problem.Next)
	}
	if r.LastGood != nil {
		p.linef("restorable to %s, %s ago; recovery paths %d of 3", r.LastGood.Set.Time().Format(time.DateTime+" UTC"), health.Age(time.Duration(r.LastGood.AgeS)*time.Second), r.Paths().Available())
	}
	printPlaces(p, r)
	switch i := r.Identity; {
	case i == nil:
	case i.State == "NONE":
		p.linef("  identities NONE  set %s has none of the node's identities, see docs/how-to/identities.md", i.Set)
	default:
		p.linef("  identities %-5s taken %s ago", i.State, health.Age(time.Since(*i.TakenAt)))
	}
	switch d := r.Drill; {
	case d == nil:
		p.linef("  drill  NONE    nothing has proven yet that a set restores: canton-backup drill")
	case d.Verdict == backupset.Fail:
		p.linef("  drill  FAILED  set %s of %s: %s: %s", d.Set, d.From, d.Problem, d.Detail)
	case d.Verdict != backupset.Pass:
		p.linef("  drill  UNKNOWN set %s of %s restores, and is not proven equal: %s", d.Set, d.From, d.Detail)
	default:
		p.linef("  drill  OK      set %s of %s restores, tried %s ago; a restore takes %.0f s", d.Set, d.From, health.Age(time.Since(d.Finished)), d.RestoreS())
	}
	for _, k := range r.Kept {
		p.linef("  kept   %s: canton-backup rollback, or canton-backup restore --drop-old", keptLine(k))
	}
	p.linef("worker %s", r.Worker)
	if r.Running != nil {
		p.linef("now    %s: %s", r.Running.Type, r.Running.Line)
	}
	if r.Schedule != nil && !r.Schedule.Missing {
		p.err = errors.Join(p.err, printSchedule(w, *r.Schedule))
	}
	for i, run := range r.Runs {
		if i == 0 {
			p.linef("runs")
		}
		if i < 5 {
			p.linef("  %s  %-10s %s", run.Started.Local().Format(time.DateTime), run.Status, run.ID)
		}
	}
	return p.err
}

func printPlaces(p *printer, r health.Report) {
	for _, one := range r.Places {
		switch {
		case one.Error != "":
			p.linef("  %-6s FAILED  %s", one.Name, one.Error)
		case one.LastGood == "":
			p.linef("  %-6s NONE    no verified set, %d in all, at %s", one.Name, one.Sets, one.Location)
		default:
			p.linef("  %-6s OK      last good set %s, %s old, %d in all, %s, at %s", one.Name, one.LastGood, health.Age(time.Duration(one.AgeS)*time.Second), one.Sets, humanize.IBytes(uint64(one.Bytes)), one.Location)
		}
	}
	for _, one := range r.Places {
		if one.Plain > 0 && one.Name != health.Local {
			p.linef("  %-6s PLAIN   %d set(s) hold the node's private keys in plain text", one.Name, one.Plain)
		}
	}
}

// printer remembers the first error of a row of writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) linef(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
