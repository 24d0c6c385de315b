package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"canton-backup/activities"
	"canton-backup/internal/attributes"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/health"
	"canton-backup/internal/store"
	"canton-backup/internal/temporalclient"
	"canton-backup/workflows"
)

const (
	askLimit  = 10 * time.Second // for all that is asked of Temporal at one look
	runsShown = 10
)

// Stores opens this host's store and every target, in this order. What cannot be opened has its error at the same place.
func Stores(s config.Settings) ([]health.Store, []error) {
	var all []health.Store
	var errs []error
	add := func(name string, opened store.Store, err error) {
		if err != nil {
			opened = nil // not a nil of the store's type, which looks like a store
		}
		all, errs = append(all, health.Store{Name: name, Store: opened}), append(errs, err)
	}
	local, err := LocalStore(s)
	add(health.Local, local, err)
	for _, kind := range s.Targets {
		target, err := RemoteStore(s, kind)
		add(string(kind), target, err)
	}
	return all, errs
}

// observer is the one source of truth of a worker's status page, metrics and watchdog. connected is nil until Temporal has answered.
func observer(host *activities.Host, connected *atomic.Pointer[client.Client]) *health.Observer {
	known := &bodies{}
	return health.NewObserver(sources(host, func(ctx context.Context, s config.Settings) health.Temporal {
		c := connected.Load()
		if c == nil {
			return health.Temporal{Worker: "the worker is up and waits for Temporal, which has not answered yet"}
		}
		return askTemporal(ctx, *c, s, known, true)
	}))
}

// Health is the report of a node as seen from the command line: everything is looked at now. c is nil when Temporal cannot be
// reached, for which why is the reason.
func Health(ctx context.Context, settingsFile string, c client.Client, why error) health.Report {
	return health.NewObserver(sources(newHost(settingsFile, Program(), nil), func(ctx context.Context, s config.Settings) health.Temporal {
		if c == nil {
			return health.Temporal{Worker: why.Error()}
		}
		return askTemporal(ctx, c, s, &bodies{}, false)
	})).Fresh(ctx)
}

func sources(host *activities.Host, ask func(context.Context, config.Settings) health.Temporal) health.Sources {
	return health.Sources{
		Program: Program(), Now: time.Now, Temporal: ask, Stores: Stores,
		Settings: func() (config.Settings, error) { return config.Load(host.SettingsFile) },
		Disk: func(ctx context.Context, s config.Settings, l catalog.Listing) *health.Disk {
			local, err := LocalStore(s)
			if err != nil {
				return nil
			}
			d, err := activities.Room(ctx, local, l, time.Now())
			if err != nil {
				return nil
			}
			return &d
		},
		Keys: func(s config.Settings) ([]health.Key, error) {
			to, err := activities.Recipients(s, time.Now())
			if err != nil || to == nil {
				return nil, err
			}
			var keys []health.Key
			for _, k := range to.Keys {
				key := health.Key{Fingerprint: k.Fingerprint}
				if !k.Expires.IsZero() {
					key.Expires = &k.Expires
				}
				keys = append(keys, key)
			}
			return keys, nil
		},
		Alerts: func(s config.Settings) (told []health.Told, unalerted bool) {
			told, _ = activities.Teller(host, s).Ledger.Causes() // one that cannot be read is begun anew by the next alert, which says so
			return told, len(Channels(s)) == 0
		},
	}
}

// askTemporal gathers what can be had of the node's runs and schedules. known is what earlier calls found; here: we are the worker ourselves.
func askTemporal(ctx context.Context, c client.Client, s config.Settings, known *bodies, here bool) health.Temporal {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	node, ui := s.Node.Name, uiAddress(s)
	t := health.Temporal{Worker: health.Running, Bodies: map[string]string{}}
	fail := func(err error) health.Temporal {
		t.Worker = "Temporal does not answer: " + err.Error()
		return t
	}
	if !here {
		described, err := c.DescribeTaskQueue(ctx, workflows.Queue(node), enumspb.TASK_QUEUE_TYPE_ACTIVITY)
		if err != nil {
			return fail(err)
		}
		if len(described.GetPollers()) == 0 {
			t.Worker = "no worker listens on queue " + workflows.Queue(node)
		}
	}
	var err error
	if t.Schedule, err = ShowSchedule(ctx, c, workflows.ScheduleID(node)); err != nil {
		return fail(err)
	}
	if t.Drills, err = ShowSchedule(ctx, c, workflows.DrillScheduleID(node)); err != nil {
		return fail(err)
	}
	if t.Running, err = holder(ctx, c, node, ui); err != nil {
		return fail(err)
	}
	backups, err := list(ctx, c, "Backup", node, runsShown)
	if err != nil {
		return fail(err)
	}
	for _, e := range backups {
		t.Runs = append(t.Runs, run(e, ui))
	}
	if t.Watch, err = ShowSchedule(ctx, c, workflows.WatchScheduleID(node)); err != nil {
		return fail(err)
	}
	if ui != "" {
		t.RunsURL = ui + "/workflows?query=" + url.QueryEscape(fmt.Sprintf("`TaskQueue`=%q", workflows.Queue(node)))
	}
	made, err := known.list(node, func(n int32) ([]*workflow.WorkflowExecutionInfo, error) { return list(ctx, c, "BackupNode", node, n) })
	if err != nil {
		return fail(err)
	}
	for _, e := range made { // newest first: of two runs of one second, the newer made the set
		r := run(e, ui)
		if t.LastRun == nil && r.Closed != nil {
			t.LastRun = &r
		}
		if r.Set == "" {
			continue
		}
		if t.Bodies[r.Set] == "" {
			t.Bodies[r.Set] = r.URL
		}
		for i := range t.Runs {
			if t.Runs[i].RunID == e.GetParentExecution().GetRunId() {
				t.Runs[i].Set = r.Set
			}
		}
	}
	return t
}

// watchdogOff says why nobody looks between the runs, empty when somebody does or that cannot be found out. A run tells it, for the watchdog cannot.
func watchdogOff(ctx context.Context, c client.Client, node string, looked time.Time) string {
	schedule, err := ShowSchedule(ctx, c, workflows.WatchScheduleID(node))
	if err != nil {
		return ""
	}
	for _, p := range health.Judge(health.Report{At: time.Now(), Worker: health.Running, Schedule: &health.Schedule{}, Watch: schedule, WatchedAt: looked}).Problems {
		if p.Code == "watchdog-off" {
			return p.Detail + "; " + p.Next
		}
	}
	return ""
}

// uiAddress is where the namespace is in the Temporal UI, empty when that is not known.
func uiAddress(s config.Settings) string {
	base := s.Health.UI
	if base == "" && !temporalclient.Configured(nil) {
		base = "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Temporal.UIPort))
	}
	if base == "" {
		return ""
	}
	return base + "/namespaces/" + url.PathEscape(Namespace())
}

func list(ctx context.Context, c client.Client, kind, node string, n int32) ([]*workflow.WorkflowExecutionInfo, error) {
	found, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		PageSize: n, Query: fmt.Sprintf("WorkflowType = '%s' AND TaskQueue = '%s'", kind, workflows.Queue(node)),
	})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return found.GetExecutions(), nil
}

func run(e *workflow.WorkflowExecutionInfo, ui string) health.Run {
	id, runID := e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId()
	r := health.Run{ID: id, RunID: runID, Type: e.GetType().GetName(), Started: e.GetStartTime().AsTime(), Status: e.GetStatus().String()}
	if e.GetCloseTime() != nil {
		closed := e.GetCloseTime().AsTime()
		r.Closed = &closed
	}
	if ui != "" {
		r.URL = ui + "/workflows/" + url.PathEscape(id) + "/" + url.PathEscape(runID)
	}
	if set, ok := attribute(e); ok {
		r.Set = set
	}
	return r
}

func attribute(e *workflow.WorkflowExecutionInfo) (string, bool) {
	payload, ok := e.GetSearchAttributes().GetIndexedFields()[attributes.Set.GetName()]
	if !ok {
		return "", false
	}
	var set string
	return set, converter.GetDefaultDataConverter().FromPayload(payload, &set) == nil
}

// holder is what holds the node's lock, nil when nothing does.
func holder(ctx context.Context, c client.Client, node, ui string) (*health.Run, error) {
	described, err := describeOpen(ctx, c, workflows.LockID(node))
	if err != nil || described == nil {
		return nil, err
	}
	r := run(described.GetWorkflowExecutionInfo(), ui)
	answer, err := c.QueryWorkflow(ctx, workflows.LockID(node), "", workflows.ProgressQuery)
	var p workflows.Progress
	if err == nil && answer.Get(&p) == nil && len(p.Lines) > 0 {
		r.Line = p.Lines[len(p.Lines)-1].Text
	}
	return &r, nil
}

// ShowSchedule describes a schedule. One that is not there is no error: it is marked Missing.
func ShowSchedule(ctx context.Context, c client.Client, id string) (*health.Schedule, error) {
	d, err := c.ScheduleClient().GetHandle(ctx, id).Describe(ctx)
	var absent *serviceerror.NotFound
	if errors.As(err, &absent) {
		return &health.Schedule{ID: id, Missing: true}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("show schedule %s: %w", id, err)
	}
	shown := health.Schedule{ID: id, Next: d.Info.NextActionTimes, Missed: d.Info.NumActionsMissedCatchupWindow}
	if d.Schedule.State != nil {
		shown.Paused, shown.Note = d.Schedule.State.Paused, d.Schedule.State.Note
	}
	if d.Schedule.Spec != nil && len(d.Schedule.Spec.Intervals) > 0 {
		shown.Every = d.Schedule.Spec.Intervals[0].Every
	}
	return &shown, nil
}
