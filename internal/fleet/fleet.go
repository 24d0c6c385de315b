// Package fleet looks at every node that backs up through one Temporal namespace: its schedule, its newest run, its worker.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	"canton-backup/internal/attributes"
	"canton-backup/internal/health"
	"canton-backup/workflows"
)

// Most is how many nodes are looked at. Beyond it Nodes says that there are more.
const Most = 10000

const (
	pageSize    = 200              // schedules the server sends at once
	runsPage    = 1000             // runs, the most that it sends
	mostPages   = 50               // of runs; nodes that have none among those are asked about one by one
	atOneTime   = 16               // nodes that are asked about
	patience    = 10 * time.Second // with one answer
	pollerGone  = 2 * time.Minute  // after its last poll: one lasts a minute, and the server remembers pollers for five
	runTypeName = "Backup"
	bodyType    = "BackupNode" // a node's body: what came too early because the node was busy has none
)

// The verdicts are those of a node's own report.
const (
	OK      = health.OK
	Warning = health.Warning
	Failed  = health.Failed
)

// Worker is what is known of a node's worker.
type Worker string

// The states. A worker that ended is Polls for two minutes more.
const (
	Polls   Worker = "polls"
	None    Worker = "none"
	Unknown Worker = "unknown" // the server did not say in time
)

// Run is a node's newest backup.
type Run struct {
	ID      string     `json:"id"`
	Status  string     `json:"status"`            // Running, Completed, Failed, TimedOut, Terminated, Canceled
	Outcome string     `json:"outcome,omitempty"` // done, incomplete: a target lacks the set; empty when the run did not get so far
	Set     string     `json:"set,omitempty"`
	Started time.Time  `json:"started"`
	Ended   *time.Time `json:"ended,omitempty"`
}

// Node is one node of the fleet. As JSON it is the contract of `canton-backup status --all --json`.
type Node struct {
	Name    string         `json:"node"`
	Network string         `json:"network,omitempty"` // of its newest run, empty before the first
	Verdict health.Verdict `json:"verdict"`
	Reason  string         `json:"reason,omitempty"` // why it is not OK
	Every   time.Duration  `json:"every"`            // nanoseconds
	Paused  bool           `json:"paused"`
	Note    string         `json:"note,omitempty"` // of the pause
	Next    *time.Time     `json:"next,omitempty"`
	Worker  Worker         `json:"worker"`
	Running bool           `json:"running"` // a backup is under way
	Last    *Run           `json:"last,omitempty"`

	fault error // the server did not answer about the node
}

// Deserted tells whether nobody works for the node: its schedule fires, and its runs wait.
func (n Node) Deserted() bool { return n.Worker == None }

// Nodes lists the nodes of the client's namespace, the worst first. A node that the server cannot tell about in time is in the list, with a
// warning. Only a list that could not be read to its end, or is longer than Most, is an error, with what was read.
func Nodes(ctx context.Context, c client.Client) ([]Node, error) {
	nodes, listErr := scheduled(ctx, c)
	runs, all := newest(ctx, c, nodes)
	group := errgroup.Group{}
	group.SetLimit(atOneTime)
	for i := range nodes {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			n := &nodes[i]
			n.fault = n.askForWorker(ctx, c)
			if len(runs[n.Name]) == 0 && !all {
				page, err := list(ctx, c, fmt.Sprintf(" AND TaskQueue = '%s'", strings.ReplaceAll(workflows.Queue(n.Name), "'", "''")), 2, nil)
				n.fault = errors.Join(n.fault, err)
				n.take(page.GetExecutions())
				return nil
			}
			n.take(runs[n.Name])
			return nil
		})
	}
	_ = group.Wait() // none fails
	now := time.Now()
	for i := range nodes {
		nodes[i].judge(now)
	}
	Sort(nodes)
	return nodes, listErr
}

// Sort puts the worst first, and else goes by name.
func Sort(nodes []Node) {
	worst := []health.Verdict{Failed, Warning, OK}
	slices.SortFunc(nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(slices.Index(worst, a.Verdict), slices.Index(worst, b.Verdict)), cmp.Compare(a.Name, b.Name))
	})
}

// scheduled reads the nodes off the list of schedules.
func scheduled(ctx context.Context, c client.Client) ([]Node, error) {
	list, err := c.ScheduleClient().List(ctx, client.ScheduleListOptions{PageSize: pageSize})
	if err != nil {
		return nil, fmt.Errorf("list schedules: %w", err)
	}
	var nodes []Node
	for list.HasNext() {
		entry, err := list.Next()
		if err != nil {
			return nodes, fmt.Errorf("list schedules: %w", err)
		}
		name, ours := strings.CutPrefix(entry.ID, workflows.ScheduleID(""))
		if !ours || entry.WorkflowType.Name != runTypeName {
			continue
		}
		if len(nodes) == Most {
			return nodes, fmt.Errorf("list schedules: more than %d nodes, the others were not looked at", Most)
		}
		n := Node{Name: name, Paused: entry.Paused, Worker: Unknown}
		if entry.Paused {
			n.Note = entry.Note
		}
		if entry.Spec != nil && len(entry.Spec.Intervals) > 0 {
			n.Every = entry.Spec.Intervals[0].Every
		}
		if len(entry.NextActionTimes) > 0 && !n.Paused {
			n.Next = &entry.NextActionTimes[0]
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// newest reads the newest two runs of every node, and whether it read to the list's end or each node has one. It takes pages of many nodes' runs
// instead of a question for each node: servers answer some ten questions of this kind in a second, and refuse more.
func newest(ctx context.Context, c client.Client, nodes []Node) (runs map[string][]*workflowpb.WorkflowExecutionInfo, all bool) {
	runs = map[string][]*workflowpb.WorkflowExecutionInfo{}
	wanting := map[string]bool{}
	for _, n := range nodes {
		wanting[n.Name] = true
	}
	var token []byte
	for range mostPages {
		ctx, cancel := context.WithTimeout(ctx, patience)
		page, err := list(ctx, c, "", runsPage, token)
		cancel()
		if err != nil {
			return runs, false // asking one by one says why
		}
		for _, info := range page.GetExecutions() {
			name := strings.TrimPrefix(info.GetTaskQueue(), workflows.Queue(""))
			if len(runs[name]) < 2 {
				runs[name] = append(runs[name], info)
			}
			if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
				delete(wanting, name)
			}
		}
		token = page.GetNextPageToken()
		if len(wanting) == 0 || len(token) == 0 {
			return runs, true
		}
	}
	return runs, false
}

// list reads a page of runs, those under way first, then the ones that ended last.
func list(ctx context.Context, c client.Client, and string, size int32, token []byte) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	page, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{PageSize: size, NextPageToken: token,
		Query: fmt.Sprintf("WorkflowType = '%s'%s", bodyType, and)})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return page, nil
}

func (n *Node) askForWorker(ctx context.Context, c client.Client) error {
	queue := workflows.Queue(n.Name)
	described, err := c.DescribeTaskQueue(ctx, queue, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return fmt.Errorf("look for a worker on %s: %w", queue, err)
	}
	n.Worker = None
	for _, poller := range described.GetPollers() {
		if time.Since(poller.GetLastAccessTime().AsTime()) < pollerGone {
			n.Worker = Polls
		}
	}
	return nil
}

// take fills in what the newest runs tell.
func (n *Node) take(runs []*workflowpb.WorkflowExecutionInfo) {
	for _, info := range runs {
		if n.Network == "" {
			n.Network = text(info.GetSearchAttributes(), attributes.Network.GetName())
		}
		if info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			n.Running = true
			if len(runs) > 1 {
				continue
			}
		}
		if n.Last != nil {
			continue
		}
		n.Last = &Run{
			ID: info.GetExecution().GetWorkflowId(), Status: info.GetStatus().String(), Started: info.GetStartTime().AsTime(),
			Outcome: text(info.GetSearchAttributes(), attributes.Outcome.GetName()), Set: text(info.GetSearchAttributes(), attributes.Set.GetName()),
		}
		if info.GetCloseTime() != nil {
			ended := info.GetCloseTime().AsTime()
			n.Last.Ended = &ended
		}
	}
}

func text(all *commonpb.SearchAttributes, name string) string {
	var s string
	if p, ok := all.GetIndexedFields()[name]; ok && converter.GetDefaultDataConverter().FromPayload(p, &s) == nil {
		return s
	}
	return ""
}
