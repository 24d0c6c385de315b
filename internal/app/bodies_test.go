package app

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflow/v1"
)

// Links to all runs are on the page alone, and a scrape each 15 s asks, too: old runs are asked for once.
func TestBodies(t *testing.T) {
	execution := func(id string, status enumspb.WorkflowExecutionStatus) *workflow.WorkflowExecutionInfo {
		return &workflow.WorkflowExecutionInfo{Execution: &common.WorkflowExecution{RunId: id}, Status: status}
	}
	open, done := enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	var there []*workflow.WorkflowExecutionInfo // newest first, as Temporal lists them
	var asked []int32
	ask := func(n int32) ([]*workflow.WorkflowExecutionInfo, error) {
		asked = append(asked, n)
		return there[:min(int(n), len(there))], nil
	}
	var b bodies
	check := func(node string, questions ...int32) {
		t.Helper()
		asked = nil
		found, err := b.list(node, ask)
		require.NoError(t, err)
		require.Equal(t, there, found)
		require.Equal(t, questions, asked)
	}
	check("n", runsNew, runsNamed) // none yet
	there = []*workflow.WorkflowExecutionInfo{execution("2", done), execution("1", done), execution("0", done)}
	check("n", runsNew, runsNamed)
	check("n", runsNew)
	there = append([]*workflow.WorkflowExecutionInfo{execution("3", open)}, there...)
	check("n", runsNew) // the open one is not known, and is the only one
	there[0] = execution("3", done)
	check("n", runsNew, runsNamed)
	check("n", runsNew)
	check("another", runsNew, runsNamed)
	_, err := b.list("another", func(int32) ([]*workflow.WorkflowExecutionInfo, error) { return nil, errors.New("no answer") })
	require.EqualError(t, err, "no answer")
	check("another", runsNew)
}
