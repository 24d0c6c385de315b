package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/types/known/timestamppb"

	"canton-backup/internal/health"
)

var now = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

func TestJudge(t *testing.T) {
	ended := now.Add(-time.Hour)
	good := func(status, outcome string) *Run {
		return &Run{Status: status, Outcome: outcome, Started: now.Add(-time.Hour), Ended: &ended}
	}
	for name, c := range map[string]struct {
		node   Node
		want   health.Verdict
		reason string
	}{
		"good":                        {Node{Worker: Polls, Last: good("Completed", "done")}, OK, ""},
		"a target lacks it":           {Node{Worker: Polls, Last: good("Completed", "incomplete")}, Warning, "a target lacks"},
		"failed":                      {Node{Worker: Polls, Last: good("Failed", "")}, Failed, "ended as Failed"},
		"timed out":                   {Node{Worker: Polls, Last: good("TimedOut", "")}, Failed, "TimedOut"},
		"terminated":                  {Node{Worker: Polls, Last: good("Terminated", "")}, Failed, "Terminated"},
		"failed, runs again":          {Node{Worker: Polls, Running: true, Last: good("Failed", "")}, Failed, "ended as Failed"},
		"cancelled":                   {Node{Worker: Polls, Last: good("Canceled", "")}, Warning, "cancelled"},
		"nobody polls":                {Node{Worker: None, Last: good("Completed", "done")}, Failed, "no worker polls the queue canton-backup/n"},
		"nobody polls a paused one":   {Node{Worker: None, Paused: true}, Failed, "no worker"},
		"paused":                      {Node{Worker: Polls, Paused: true, Note: "moving house", Last: good("Completed", "done")}, Warning, "paused: moving house"},
		"paused and long ago":         {Node{Worker: Polls, Paused: true, Last: &Run{Status: "Completed", Started: now.Add(-90 * time.Hour), Ended: &ended}}, Warning, "paused"},
		"new":                         {Node{Worker: Polls}, Warning, "no run yet"},
		"under way":                   {Node{Worker: Polls, Running: true, Last: &Run{Status: "Running", Started: now.Add(-time.Hour)}}, OK, ""},
		"under way for long":          {Node{Worker: Polls, Running: true, Last: &Run{Status: "Running", Started: now.Add(-5 * time.Hour)}}, Warning, "under way since 2026-11-03T07:00:00Z"},
		"one was left out":            {Node{Worker: Polls, Last: &Run{Status: "Completed", Started: now.Add(-8*time.Hour - 10*time.Minute), Ended: &ended}}, OK, ""},
		"two were left out":           {Node{Worker: Polls, Last: &Run{Status: "Completed", Started: now.Add(-8*time.Hour - 20*time.Minute), Ended: &ended}}, Failed, "began 8h20m0s ago, one is due every 4h0m0s"},
		"the server does not say":     {Node{Worker: Unknown, fault: errors.New("list runs: deadline")}, Warning, "deadline"},
		"it says that nobody's there": {Node{Worker: None, fault: errors.New("list runs: deadline")}, Failed, "no worker"},
	} {
		t.Run(name, func(t *testing.T) {
			c.node.Name, c.node.Every = "n", 4*time.Hour
			c.node.judge(now)
			require.Equal(t, c.want, c.node.Verdict, c.node.Reason)
			require.Contains(t, c.node.Reason, c.reason)
			if c.reason == "" {
				require.Empty(t, c.node.Reason)
			}
		})
	}
}

func TestSort(t *testing.T) {
	nodes := []Node{{Name: "b", Verdict: OK}, {Name: "c", Verdict: Failed}, {Name: "d", Verdict: Warning}, {Name: "a", Verdict: OK}, {Name: "a2", Verdict: Failed}}
	Sort(nodes)
	var order []string
	for _, n := range nodes {
		order = append(order, n.Name)
	}
	require.Equal(t, []string{"a2", "c", "d", "a", "b"}, order)
}

// connection is one to a server that has one trouble or another.
type connection struct {
	client.Client                             // what is not asked for here panics
	schedules     []*client.ScheduleListEntry // nil where the connection is lost
	runs          []*workflowpb.WorkflowExecutionInfo
	page          int    // how many of them it sends at once
	deaf          string // the node about which it does not answer
	deserted      string // the node whose worker polled some minutes ago, and no more
	broken        bool   // it answers no question for runs
}

func (c *connection) ScheduleClient() client.ScheduleClient { return schedules{all: c.schedules} }

func (c *connection) DescribeTaskQueue(ctx context.Context, queue string, _ enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	if strings.HasSuffix(queue, "/"+c.deaf) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	last := time.Now().Add(-time.Minute)
	if strings.HasSuffix(queue, "/"+c.deserted) {
		last = time.Now().Add(-3 * time.Minute)
	}
	return &workflowservice.DescribeTaskQueueResponse{Pollers: []*taskqueuepb.PollerInfo{{LastAccessTime: timestamppb.New(last)}}}, nil
}

func (c *connection) ListWorkflow(_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	if c.broken {
		return nil, errors.New("resource exhausted")
	}
	from := 0
	if len(r.GetNextPageToken()) > 0 {
		from = int(r.GetNextPageToken()[0])
	}
	to := min(from+c.page, len(c.runs))
	page := &workflowservice.ListWorkflowExecutionsResponse{Executions: c.runs[from:to]}
	if to < len(c.runs) {
		page.NextPageToken = []byte{byte(to)}
	}
	return page, nil
}

type schedules struct {
	client.ScheduleClient
	all []*client.ScheduleListEntry
}

func (s schedules) List(context.Context, client.ScheduleListOptions) (client.ScheduleListIterator, error) {
	return &entries{s.all}, nil
}

type entries struct{ left []*client.ScheduleListEntry }

func (e *entries) HasNext() bool { return len(e.left) > 0 }

func (e *entries) Next() (*client.ScheduleListEntry, error) {
	first := e.left[0]
	e.left = e.left[1:]
	if first == nil {
		return nil, errors.New("connection lost")
	}
	return first, nil
}

func schedule(id string) *client.ScheduleListEntry {
	return &client.ScheduleListEntry{ID: id, WorkflowType: workflow.Type{Name: "Backup"},
		Spec:            &client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: time.Hour}}},
		NextActionTimes: []time.Time{time.Now().Add(time.Minute)}}
}

func execution(node string, status enumspb.WorkflowExecutionStatus, ago time.Duration) *workflowpb.WorkflowExecutionInfo {
	info := &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: "node/" + node}, TaskQueue: "canton-backup/" + node, Status: status,
		StartTime: timestamppb.New(time.Now().Add(-ago)),
		SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{
			"CantonNetwork": {Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(`"testnet"`)},
		}},
	}
	if status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		info.CloseTime = timestamppb.New(time.Now().Add(-ago + time.Minute))
	}
	return info
}

const (
	completed = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	failure   = enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
	underWay  = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
)

// What is read off the lists, page by page; one node that the server says nothing of holds up no other.
func TestNodes(t *testing.T) { synctest.Test(t, testNodes) }

func testNodes(t *testing.T) {
	foreign := schedule("backup-of-something-else")
	foreign.WorkflowType.Name = "Report"
	paused := schedule("backup-c")
	paused.Paused, paused.Note = true, "holiday"
	c := &connection{page: 2, deaf: "d", deserted: "f",
		schedules: []*client.ScheduleListEntry{schedule("backup-a"), schedule("drill-a"), foreign, schedule("backup-b"), paused, schedule("backup-d"), schedule("backup-e"), schedule("backup-f")},
		runs: []*workflowpb.WorkflowExecutionInfo{
			execution("b", underWay, time.Minute), execution("a", completed, time.Minute), execution("a", failure, time.Hour), execution("gone", failure, time.Hour),
			execution("d", completed, time.Hour), execution("b", failure, time.Hour), execution("c", completed, time.Hour),
		}}
	nodes, err := Nodes(t.Context(), c)
	require.NoError(t, err)
	var lines []string
	for _, n := range nodes {
		last := "-"
		if n.Last != nil {
			last = n.Last.Status
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s running=%t next=%t %s", n.Name, n.Verdict, n.Worker, last, n.Running, n.Next != nil, n.Network)))
	}
	require.Equal(t, []string{
		"b FAILED polls Failed running=true next=true testnet",
		"f FAILED none - running=false next=true",
		"c WARNING polls Completed running=false next=false testnet",
		"d WARNING unknown Completed running=false next=true testnet",
		"e WARNING polls - running=false next=true",
		"a OK polls Completed running=false next=true testnet",
	}, lines)
	require.Equal(t, "the schedule is paused: holiday", nodes[2].Reason)
	require.Contains(t, nodes[3].Reason, "look for a worker on canton-backup/d: context deadline exceeded")
	require.Equal(t, time.Hour, nodes[0].Every)
	require.True(t, nodes[1].Deserted())
	require.False(t, nodes[3].Deserted(), "nobody knows")
}

func TestNodes_trouble(t *testing.T) {
	nodes, err := Nodes(t.Context(), &connection{broken: true, schedules: []*client.ScheduleListEntry{schedule("backup-a")}})
	require.NoError(t, err)
	require.Equal(t, Warning, nodes[0].Verdict)
	require.Contains(t, nodes[0].Reason, "resource exhausted")

	nodes, err = Nodes(t.Context(), &connection{page: 1, schedules: []*client.ScheduleListEntry{schedule("backup-a"), nil}})
	require.ErrorContains(t, err, "connection lost")
	require.Len(t, nodes, 1, "what was read is shown")

	many := make([]*client.ScheduleListEntry, Most+1)
	for i := range many {
		many[i] = schedule(fmt.Sprintf("backup-%d", i))
	}
	nodes, err = Nodes(t.Context(), &connection{page: 1, schedules: many})
	require.ErrorContains(t, err, "more than 10000 nodes")
	require.Len(t, nodes, Most)
}
