package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/restore"
	"canton-backup/internal/retention"
	"canton-backup/workflows"
)

// status is the output of `status`; with --json this is the contract.
type status struct {
	Node       string              `json:"node"`
	Network    string              `json:"network"`
	Stores     []storeStatus       `json:"stores"`
	Running    string              `json:"running,omitempty"` // what holds the node's lock: its newest log line
	Worker     string              `json:"worker"`            // "running", or why it cannot be reached
	Schedule   *scheduled          `json:"schedule,omitempty"`
	Runs       []runStatus         `json:"runs,omitempty"`       // newest first
	Identities *identitiesStatus   `json:"identities,omitempty"` // absent: IDENTITIES=off, or no set yet
	Drill      *activities.Drilled `json:"drill,omitempty"`      // the newest one that is recorded on this host
	Kept       []restore.Kept      `json:"kept,omitempty"`       // old databases that restores and rollbacks left on the node's server
}

type storeStatus struct {
	Store    string       `json:"store"`
	Location string       `json:"location"`
	LastGood backupset.ID `json:"last_good,omitempty"` // newest set whose pair is proven and whose files are all there
	AgeS     int64        `json:"age_seconds,omitempty"`
	Sets     int          `json:"sets"`
	Plain    int          `json:"plain"`            // sets of this node that are not encrypted
	Faults   []string     `json:"faults,omitempty"` // damaged, unreadable or wrongly dated sets
	Error    string       `json:"error,omitempty"`
}

// identitiesStatus is what the newest set on this host holds of the node's identities.
type identitiesStatus struct {
	Set     backupset.ID `json:"set"`
	State   string       `json:"state"` // OK, STALE: of an earlier set, NONE
	TakenAt *time.Time   `json:"taken_at,omitempty"`
}

type runStatus struct {
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	Status  string    `json:"status"`
}

func newStatus(c *command) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show newest sets, schedule and recent runs on one screen", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.settings()
			if err != nil {
				return err
			}
			st := readStatus(cmd.Context(), s)
			st.Kept, _ = c.kept(cmd.Context(), s) // a node that is down has more to worry about
			return c.print(st, func(w io.Writer) error { return printStatus(w, st) })
		},
	}
}

// readStatus gathers what can be had: a part that cannot be read says so in its place, and the rest is still shown.
func readStatus(ctx context.Context, s config.Settings) status {
	st := status{Node: s.Node.Name, Network: s.Node.Network, Worker: "running"}
	all, err := shelves(ctx, s, "")
	if err != nil && len(all) == 0 {
		st.Stores = append(st.Stores, storeStatus{Store: "all", Error: err.Error()})
	}
	for _, shelf := range all {
		one := storeStatus{Store: shelf.name, Location: shelf.store.Location(), Sets: len(shelf.listing.Sets)}
		if shelf.err != nil {
			one.Error = shelf.err.Error()
		}
		if good, found := shelf.listing.LastGood(time.Now()); found {
			one.LastGood, one.AgeS = good.Manifest.Set, int64(time.Since(good.Manifest.Set.Time()).Seconds())
		}
		for _, e := range shelf.listing.Sets {
			if e.Own && e.Manifest.Plain() {
				one.Plain++
			}
			if e.Own && e.Damage != "" {
				one.Faults = append(one.Faults, fmt.Sprintf("set %s: %s", e.Manifest.Set, e.Damage))
			}
			if e.Own && e.Manifest.Set.Time().After(time.Now().Add(retention.Skew)) {
				one.Faults = append(one.Faults, fmt.Sprintf("set %s is dated in the future", e.Manifest.Set))
			}
		}
		for _, u := range shelf.listing.Unreadable {
			one.Faults = append(one.Faults, "unreadable manifest "+u)
		}
		st.Stores = append(st.Stores, one)
	}
	st.Drill = newestDrill(ctx, all)
	st.Identities = identitiesOf(s, all)
	cl, err := dial(ctx, s)
	if err != nil {
		st.Worker = err.Error()
		return st
	}
	defer cl.Close()
	if schedule, err := showSchedule(ctx, cl, s.Node.Name); err == nil {
		st.Schedule = &schedule
	} else {
		st.Worker = err.Error()
	}
	st.Running = running(ctx, cl, s.Node.Name)
	st.Runs, err = recentRuns(ctx, cl, s.Node.Name)
	if err != nil {
		st.Worker = err.Error()
	}
	return st
}

func identitiesOf(s config.Settings, all []shelf) *identitiesStatus {
	for _, shelf := range all {
		newest, err := shelf.listing.Find(catalog.Latest, time.Now())
		if shelf.name != activities.Local || err != nil || s.Identities.Off {
			continue
		}
		st := &identitiesStatus{Set: newest.Manifest.Set, State: "NONE"}
		if c, has := newest.Manifest.Component(backupset.Identities); has && c.IdentitiesEvidence != nil {
			st.State, st.TakenAt = "STALE", &c.IdentitiesEvidence.TakenAt
			if activities.FreshIdentities(newest.Manifest) {
				st.State = "OK"
			}
		}
		return st
	}
	return nil
}

// newestDrill reads the newest record of a drill on this host, nil when there is none.
func newestDrill(ctx context.Context, all []shelf) *activities.Drilled {
	for _, shelf := range all {
		newest, when := "", backupset.ID("")
		for _, name := range shelf.listing.Drills {
			if _, drill, ok := backupset.ParseDrillName(name); ok && drill > when {
				newest, when = name, drill
			}
		}
		if shelf.name != activities.Local || newest == "" {
			continue
		}
		r, err := shelf.store.Open(ctx, newest, 0)
		if err != nil {
			return nil
		}
		defer r.Close()
		var drilled activities.Drilled
		if json.NewDecoder(io.LimitReader(r, 1<<20)).Decode(&drilled) != nil {
			return nil
		}
		return &drilled
	}
	return nil
}

func running(ctx context.Context, cl client.Client, node string) string {
	d, err := cl.DescribeWorkflowExecution(ctx, workflows.LockID(node), "")
	if err != nil || d.GetWorkflowExecutionInfo().GetCloseTime() != nil {
		return ""
	}
	answer, err := cl.QueryWorkflow(ctx, workflows.LockID(node), "", workflows.ProgressQuery)
	var p workflows.Progress
	if err != nil || answer.Get(&p) != nil || len(p.Lines) == 0 {
		return d.GetWorkflowExecutionInfo().GetType().GetName()
	}
	return p.Lines[len(p.Lines)-1].Text
}

func recentRuns(ctx context.Context, cl client.Client, node string) ([]runStatus, error) {
	list, err := cl.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		PageSize: 5, Query: fmt.Sprintf("WorkflowType = 'Backup' AND TaskQueue = '%s'", workflows.Queue(node)),
	})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var runs []runStatus
	for _, e := range list.GetExecutions() {
		runs = append(runs, runStatus{ID: e.GetExecution().GetWorkflowId(), Started: e.GetStartTime().AsTime(), Status: e.GetStatus().String()})
	}
	return runs, nil
}

func printStatus(w io.Writer, st status) error {
	p := &printer{w: w}
	p.linef("node %s (%s)", st.Node, st.Network)
	for _, one := range st.Stores {
		switch {
		case one.Error != "":
			p.linef("  %-6s FAILED  %s", one.Store, one.Error)
		case one.LastGood == "":
			p.linef("  %-6s NONE    no verified set, %d in all, at %s", one.Store, one.Sets, one.Location)
		default:
			p.linef("  %-6s OK      last good set %s, %s old, %d in all, at %s", one.Store, one.LastGood, age(time.Duration(one.AgeS)*time.Second), one.Sets, one.Location)
		}
	}
	for _, one := range st.Stores {
		if one.Plain > 0 && one.Store != activities.Local {
			p.linef("  %-6s PLAIN   %d set(s) hold the node's private keys in plain text", one.Store, one.Plain)
		}
		for _, fault := range one.Faults {
			p.linef("  %-6s FAULT   %s", one.Store, fault)
		}
	}
	switch i := st.Identities; {
	case i == nil:
	case i.State == "NONE":
		p.linef("  identities NONE  set %s has none of the node's identities, see docs/how-to/identities.md", i.Set)
	default:
		p.linef("  identities %-5s taken %s ago", i.State, age(time.Since(*i.TakenAt)))
	}
	switch d := st.Drill; {
	case d == nil:
		p.linef("  drill  NONE    nothing has proven yet that a set restores: canton-backup drill")
	case d.Verdict == backupset.Fail:
		p.linef("  drill  FAILED  set %s of %s: %s: %s", d.Set, d.From, d.Problem, d.Detail)
	case d.Verdict != backupset.Pass:
		p.linef("  drill  UNKNOWN set %s of %s restores, and is not proven equal: %s", d.Set, d.From, d.Detail)
	default:
		p.linef("  drill  OK      set %s of %s restores, tried %s ago; a restore takes %.0f s", d.Set, d.From, age(time.Since(d.Finished)), d.FetchS+d.LoadS)
	}
	for _, k := range st.Kept {
		p.linef("  kept   %s: canton-backup rollback, or canton-backup restore --drop-old", keptLine(k))
	}
	p.linef("worker %s", st.Worker)
	if st.Running != "" {
		p.linef("now    %s", st.Running)
	}
	if st.Schedule != nil {
		p.err = errors.Join(p.err, printSchedule(w, *st.Schedule))
	}
	for i, r := range st.Runs {
		if i == 0 {
			p.linef("runs")
		}
		p.linef("  %s  %-10s %s", r.Started.Local().Format(time.DateTime), r.Status, r.ID)
	}
	return p.err
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
