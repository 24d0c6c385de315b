package app

import (
	"slices"
	"sync"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflow/v1"
)

const (
	runsNamed = 200 // newest runs whose sets get a link
	runsNew   = 2   // that tell whether there is news: the open one, of which the node's lock lets there be one, and the one that closed last
)

// bodies remembers the runs that made sets. They are asked for at each look, for links that only the page has, and closed ones do not change.
type bodies struct {
	mu     sync.Mutex
	node   string
	closed []*workflow.WorkflowExecutionInfo // newest first
}

// list returns the newest runs, the open one first. ask gets the n newest from Temporal: few, unless a run closed since the last time.
func (b *bodies) list(node string, ask func(n int32) ([]*workflow.WorkflowExecutionInfo, error)) ([]*workflow.WorkflowExecutionInfo, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	newest, err := ask(runsNew)
	if err != nil {
		return nil, err
	}
	open := func(e *workflow.WorkflowExecutionInfo) bool {
		return e.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	}
	if i := slices.IndexFunc(newest, func(e *workflow.WorkflowExecutionInfo) bool { return !open(e) }); i >= 0 && b.node == node && len(b.closed) > 0 &&
		newest[i].GetExecution().GetRunId() == b.closed[0].GetExecution().GetRunId() {
		return slices.Concat(newest[:i], b.closed), nil
	}
	all, err := ask(runsNamed)
	if err != nil {
		return nil, err
	}
	b.node, b.closed = node, slices.DeleteFunc(slices.Clone(all), open)
	return all, nil
}
