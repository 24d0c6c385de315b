package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/cli"
	"canton-backup/internal/testkit/page"
)

const commandsHead = `# Commands

<!-- Made from the commands' own help by ` + "`make docs`" + `. Edit internal/cli. -->

Data goes to standard output, talk to standard error. ` + "`--json`" + ` turns the data into JSON on every command that prints any. ` + "`SET`" + ` is a set's id
(` + "`20261123_040000`" + `, UTC) or ` + "`latest`" + `. [Exit codes](exit-codes.md).

`

var (
	available = regexp.MustCompile(`(?ms)^Available Commands:\n(.*?)\n\n`)
	entry     = regexp.MustCompile(`(?m)^  ([a-z]+) `)
	globals   = regexp.MustCompile(`(?ms)\n^Global Flags:\n.*`)
	seeHelp   = regexp.MustCompile(`(?m)\n^Use "[^\n]*$\n?`)
	ownHelp   = regexp.MustCompile(`(?m)^  -h, --help .*\n`)
	noFlags   = regexp.MustCompile(`(?m)\nFlags:\n(\n|\z)`)
)

func TestDocs_Commands(t *testing.T) {
	var b strings.Builder
	b.WriteString(commandsHead)
	document(t, &b, nil)
	page.Current(t, "docs/reference/commands.md", b.String())
}

// document writes a command's help and that of the commands below it.
func document(t *testing.T, b *strings.Builder, path []string) {
	t.Helper()
	var out, talk bytes.Buffer
	code := cli.Main(append(path[:len(path):len(path)], "--help"), cli.Streams{Out: &out, Err: &talk})
	require.Equal(t, cli.ExitDone, code, talk.String())
	text := out.String()
	var below []string
	if list := available.FindString(text); list != "" {
		for _, match := range entry.FindAllStringSubmatch(list, -1) {
			below = append(below, match[1])
		}
	}
	if len(path) > 0 {
		text = globals.ReplaceAllString(text, "")
		text = noFlags.ReplaceAllString(ownHelp.ReplaceAllString(text, ""), "$1")
	}
	text = strings.TrimSpace(seeHelp.ReplaceAllString(text, ""))
	name := strings.Join(append([]string{"canton-backup"}, path...), " ")
	level := "##"
	if len(path) > 1 {
		level = "###"
	}
	fmt.Fprintf(b, "%s %s\n\n```\n%s\n```\n\n", level, name, text)
	for _, command := range below {
		if command != "help" && command != "completion" {
			document(t, b, append(path[:len(path):len(path)], command))
		}
	}
}

var (
	codeConstant = regexp.MustCompile(`(?m)^\tExit[A-Za-z]+ += ([0-9]+)`)
	codeRow      = regexp.MustCompile(`(?m)^\| ([0-9]+) \|`)
)

func TestDocs_ExitCodes(t *testing.T) {
	source, err := os.ReadFile("cli.go")
	require.NoError(t, err)
	text, err := os.ReadFile("../../docs/reference/exit-codes.md")
	require.NoError(t, err)
	var inCode, onPage []string
	for _, match := range codeConstant.FindAllStringSubmatch(string(source), -1) {
		inCode = append(inCode, match[1])
	}
	for _, match := range codeRow.FindAllStringSubmatch(string(text), -1) {
		onPage = append(onPage, match[1])
	}
	require.NotEmpty(t, inCode)
	require.Equal(t, inCode, onPage, "docs/reference/exit-codes.md lists every code in order")
}
