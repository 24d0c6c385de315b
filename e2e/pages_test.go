package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/testbed"
)

// runBlock is a block that a page marks as one that can be run as it stands; in a list it is indented.
var runBlock = regexp.MustCompile("(?ms)^( *)```sh run\n(.*?)^ *```$")

// The line for tctl, a client that no longer gets releases and that operators still have, starts a backup.
func TestPages_TctlStartsABackup(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/how-to/rerun-from-the-ui.md")
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^ +tctl .*$`).FindString(string(text))
	require.NotEmpty(t, line)
	tools, err := filepath.Abs("../.tools/bin")
	require.NoError(t, err)
	h := newHost(t, sharedNode)
	h.startWorker()
	h.env = append(h.env, "PATH="+tools+":"+os.Getenv("PATH"), "TEMPORAL_CLI_ADDRESS=127.0.0.1:"+h.settings["TEMPORAL_PORT"])
	out := h.shell(strings.ReplaceAll(line, "canton-backup/validator-1", "canton-backup/"+h.settings["NODE_NAME"]))
	require.Contains(t, out, "Started Workflow Id")
	require.Eventually(t, func() bool { return len(h.list()) == 1 }, time.Minute, 200*time.Millisecond)
}

// What README and runbooks tell an operator to type works on a host with a worker, in the order of the page.
func TestPages_CommandsRun(t *testing.T) {
	pages, err := filepath.Glob("../docs/runbooks/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	bin, err := filepath.Abs("../bin")
	require.NoError(t, err)
	operator := func(t *testing.T, node *testbed.Node) *host {
		h := newHost(t, node)
		h.s3()
		h.env = append(h.env, "PATH="+bin+":"+os.Getenv("PATH"))
		h.startWorker()
		return h
	}
	shared := operator(t, sharedNode)
	for _, page := range append([]string{"../README.md"}, pages...) {
		t.Run(filepath.Base(page), func(t *testing.T) {
			h := shared
			if strings.HasPrefix(filepath.Base(page), "restore-") { // others only read the shared node
				h = operator(t, newNode(t, testbed.Options{}))
				h.backup()
			}
			text, err := os.ReadFile(page)
			require.NoError(t, err)
			blocks := runBlock.FindAllStringSubmatch(string(text), -1)
			require.NotEmpty(t, blocks, "a page that an operator works by has something to type")
			for _, b := range blocks {
				script := strings.ReplaceAll("\n"+b[2], "\n"+b[1], "\n")
				out, err := h.tryShell("set -x" + script)
				require.NoError(t, err, out)
			}
		})
	}
}
