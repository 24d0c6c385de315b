package restore_test

import (
	"fmt"
	"strings"
	"testing"

	"canton-backup/internal/restore"
	"canton-backup/internal/testkit/page"
)

const head = `# Gates of a restore

<!-- Made from internal/restore by ` + "`make docs`" + `. Edit that. -->

Reasons not to restore a set. ` + "`canton-backup restore --plan`" + ` shows which of them stand against one; ` + "`--override NAME`" + ` answers for a gate, and the run's history
keeps that. A set that is not sealed does not exist; one whose files are not what the manifest says is never restored (` + "`BackupCorrupt`" + `).

| Gate | Closed when |
|---|---|
`

func TestDocs_Gates(t *testing.T) {
	var b strings.Builder
	b.WriteString(head)
	for _, g := range restore.Gates {
		fmt.Fprintf(&b, "| `%s` | %s |\n", g.Name, g.Meaning)
	}
	page.Current(t, "docs/reference/restore.md", b.String())
}
