package activities

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/testkit/page"
)

const errorsHead = `# Errors

<!-- Made from activities/errors.go by ` + "`make docs`" + `. Edit that. -->

The name of the error with which a run ended: in the alert, in the Temporal UI, and with ` + "`--json`" + ` in the last line of standard error. "Tried
again" says whether the step is repeated before the run fails; the pauses grow from seconds to two minutes.

| Name | Means | Tried again | Do |
|---|---|---|---|
`

// meanings are those of names that no domain error stands behind.
var meanings = map[string]string{
	ConfigInvalid: "the settings cannot be used; all that is wrong with them is listed",
	NodeBusy:      "another backup or prune of this node is at work; no alert is sent",
	UploadFailed:  "one of several targets did not get the set; the run is done, but incomplete",
	StepFailed:    "anything else; the text says what",

	RestoreRefused: "a gate stands against the restore; nothing was touched",
	NotApproved:    "a restore that was started without approval got none within a day; nothing was touched",
	UndoFailed:     "a restore failed, and so did part of taking it back: the text says what, and how to start the node",
}

func TestDocs_Errors(t *testing.T) {
	var b strings.Builder
	b.WriteString(errorsHead)
	for _, name := range errorNames(t) {
		means, again := []string{}, map[bool]bool{}
		for _, r := range rules {
			if r.name == name {
				again[r.retry] = true
				if text := r.is.Error(); !slices.Contains(means, text) {
					means = append(means, text)
				}
			}
		}
		if meaning, ok := meanings[name]; ok {
			means = []string{meaning}
			again[name == StepFailed] = true
		}
		require.NotEmpty(t, means, "nothing says what %s means", name)
		tried := "no"
		switch {
		case len(again) == 2:
			tried = "depends on the cause"
		case again[true]:
			tried = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.Join(means, "; "), tried, NextStep(name))
	}
	page.Current(t, "docs/reference/errors.md", b.String())
}

// errorNames are the constants of errors.go, in their order.
func errorNames(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	require.NoError(t, err)
	var names []string
	for _, declaration := range file.Decls {
		block, ok := declaration.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		for _, spec := range block.Specs {
			for _, value := range spec.(*ast.ValueSpec).Values {
				if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					names = append(names, strings.Trim(literal.Value, `"`))
				}
			}
		}
	}
	require.Contains(t, names, StepFailed)
	return names
}
