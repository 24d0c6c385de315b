package fleet

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"canton-backup/workflows"
)

// slack is how much later than two intervals ago a run may have begun before it counts as missing: nodes begin up to this late.
const slack = 15 * time.Minute

// judge gives the verdict, and the first reason for it, the gravest first.
func (n *Node) judge(now time.Time) {
	n.Verdict, n.Reason = Failed, n.failure(now)
	if n.Reason == "" {
		n.Verdict, n.Reason = Warning, n.warning(now)
	}
	if n.Reason == "" {
		n.Verdict = OK
	}
}

func (n *Node) failure(now time.Time) string {
	switch {
	case n.Deserted():
		return "no worker polls the queue " + workflows.Queue(n.Name)
	case n.Last == nil || n.fault != nil:
		return ""
	}
	switch n.Last.Status {
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED.String(), enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT.String(), enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED.String():
		return fmt.Sprintf("the last run ended as %s", n.Last.Status)
	}
	if age := now.Sub(n.Last.Started); !n.Paused && !n.Running && n.Every > 0 && age > 2*n.Every+slack {
		return fmt.Sprintf("the last run began %s ago, one is due every %s", age.Round(time.Minute), n.Every)
	}
	return ""
}

func (n *Node) warning(now time.Time) string {
	switch {
	case n.fault != nil:
		return n.fault.Error()
	case n.Paused:
		return "the schedule is paused: " + n.Note
	case n.Last == nil:
		return "no run yet"
	case n.Last.Outcome == string(workflows.Incomplete):
		return "a target lacks the newest set"
	case n.Last.Status == enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED.String():
		return "the last run was cancelled"
	case n.Running && n.Last.Ended == nil && n.Every > 0 && now.Sub(n.Last.Started) > n.Every:
		return fmt.Sprintf("a run is under way since %s", n.Last.Started.UTC().Format(time.RFC3339))
	}
	return ""
}
