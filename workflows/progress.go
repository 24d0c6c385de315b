package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"
)

// Line is one line of a run's log.
type Line struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Progress answers ProgressQuery.
type Progress struct {
	Parent string `json:"parent"` // run id of the workflow that an operator or the schedule started
	Lines  []Line `json:"lines"`
}

// journal tells people how a run goes: in the Temporal UI, in the run's log, and to whoever asks by query.
type journal struct{ progress Progress }

func newJournal(ctx workflow.Context) (*journal, error) {
	j := &journal{}
	if parent := workflow.GetInfo(ctx).ParentWorkflowExecution; parent != nil {
		j.progress.Parent = parent.RunID
	}
	err := workflow.SetQueryHandler(ctx, ProgressQuery, func() (Progress, error) { return j.progress, nil })
	return j, err
}

// say adds a line. The logger drops it during replay, so that it stands in backup.log once.
func (j *journal) say(ctx workflow.Context, format string, args ...any) {
	line := Line{At: workflow.Now(ctx), Text: fmt.Sprintf(format, args...)}
	j.progress.Lines = append(j.progress.Lines, line)
	texts := make([]string, len(j.progress.Lines))
	for i, l := range j.progress.Lines {
		texts[i] = l.At.UTC().Format(time.TimeOnly) + " " + l.Text
	}
	workflow.SetCurrentDetails(ctx, strings.Join(texts, "\n\n"))
	workflow.GetLogger(ctx).Info(line.Text, RunLogKey, true)
}

// human prints bytes as the customer's sample does: 45M, 1.2G.
func human(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%dG", n>>30)
	case n >= 1<<30:
		return fmt.Sprintf("%.1fG", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%dM", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%dK", n>>10)
	default:
		return fmt.Sprintf("%dB", n)
	}
}
