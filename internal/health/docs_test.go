package health_test

import (
	"fmt"
	"strings"
	"testing"

	"canton-backup/internal/health"
	"canton-backup/internal/testkit/page"
)

const head = `# Problems

<!-- Made from internal/health by ` + "`make docs`" + `. Edit that. -->

What ` + "`canton-backup status`" + `, the [status page](../how-to/status-page.md), ` + "`/healthz`" + `, the [metrics](metrics.md) and the watchdog can find wrong, most urgent first. The
worst problem is the verdict of the whole: FAILED wants somebody now, WARNING today. The watchdog tells of those marked *told*, unless they
follow from one that stands already; the others are told by the run that finds them.

| Problem | At worst | Told | Meaning | What to do |
|---|---|---|---|---|
`

func TestDocs_Problems(t *testing.T) {
	var b strings.Builder
	b.WriteString(head)
	for _, k := range health.Kinds {
		told := ""
		if k.Told {
			told = "told"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Code, k.Verdict, told, k.Meaning, k.Next)
	}
	page.Current(t, "docs/reference/problems.md", b.String())
}
