package layers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "canton-backup/"

// pkg is what `go list` says of one package of ours, with module cut from its path.
type pkg struct {
	ImportPath   string
	Name         string
	Doc          string
	Dir          string
	Imports      []string // without those of tests
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

func (p pkg) short() string { return strings.TrimPrefix(p.ImportPath, module) }

// files are the paths of all its Go files.
func (p pkg) files() []string {
	var paths []string
	for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
		paths = append(paths, filepath.Join(p.Dir, name))
	}
	return paths
}

// list runs `go list` once for all tests.
var list = sync.OnceValues(func() ([]byte, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Doc,Dir,Imports,GoFiles,TestGoFiles,XTestGoFiles", module+"...")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, complaint.String())
	}
	return out, nil
})

// packages lists every package of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := list()
	require.NoError(t, err)
	var all []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		all = append(all, p)
	}
	require.Greater(t, len(all), 20, "the list of packages is whole")
	return all
}

// under tells whether path is the package or lies below it.
func under(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

// reserved are packages that only these importers may use.
var reserved = []struct {
	imported  string
	importers []string
	why       string
}{
	{"github.com/spf13/viper", []string{"internal/config"}, "settings are values everywhere else"},
	{"github.com/prometheus", []string{"internal/metrics", "internal/temporalclient"}, "what is shown is the report's business, not its words for Prometheus"},
	{"github.com/uber-go/tally", []string{"internal/temporalclient"}, "it is the SDK's way to Prometheus and nobody else's"},
	{"github.com/chromedp", []string{"internal/testkit"}, "it is for tests"},
	{"go.temporal.io/server", []string{"internal/temporalserver", "testbed/temporalcluster"}, "it weighs 150 MB and changes every month"},
	{"github.com/temporalio/ui-server", []string{"internal/temporalserver"}, "it comes with the server"},
	{module + "internal/temporalserver", []string{"internal/app", "internal/cli", "internal/temporalserver"}, "the composition root starts it"},
	{module + "internal/app", []string{"internal/cli"}, "only a main may put the parts together"},
	{module + "internal/cli", []string{"starter", "worker"}, "it is the top"},
	{module + "starter", nil, "it is a main"},
	{module + "worker", nil, "it is a main"},
	{module + "testbed", []string{"testbed", "e2e", "bench"}, "the product knows nothing of its double"},
	{module + "internal/testkit", []string{"internal/testkit", "e2e", "testbed", "bench"}, "it is for tests"},
	{"testing", []string{"internal/testkit", "internal/store/storetest", "testbed"}, "it is for tests"},
	{"github.com/stretchr/testify", []string{"internal/testkit", "internal/store/storetest", "testbed"}, "it is for tests"},
}

func TestReservedImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			for _, r := range reserved {
				allowed := slices.ContainsFunc(r.importers, func(i string) bool { return under(p.short(), i) })
				if under(imported, r.imported) && !allowed {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, r.why)
				}
			}
		}
	}
}

// The domain and the drivers must not know what runs them.
func TestTemporalSDKStaysAbove(t *testing.T) {
	above := []string{"internal/app", "internal/attributes", "internal/cli", "internal/fleet", "internal/temporalclient", "internal/temporalserver"}
	for _, p := range packages(t) {
		if !under(p.short(), "internal") || slices.Contains(above, p.short()) {
			continue
		}
		for _, imported := range p.Imports {
			if under(imported, "go.temporal.io/sdk") || under(imported, "go.temporal.io/api") ||
				imported == module+"workflows" || imported == module+"activities" {
				t.Errorf("%s imports %s: what runs it is not its business", p.ImportPath, imported)
			}
		}
	}
}

// workflowImports are what workflows may import of ours. From config and notify, which read files and talk to the network, only
// these names: they are plain values.
var workflowImports = map[string][]string{
	module + "activities":          nil,
	module + "internal/attributes": nil,
	module + "internal/backupset":  nil,
	module + "internal/retention":  nil,
	module + "internal/config":     {"Kind", "Rsync", "R2", "Skip"},
	module + "internal/notify":     {"Alert"},
}

// A workflow that reads a clock, a file or the network gives another answer at its replay.
func TestWorkflowsArePure(t *testing.T) {
	standard := []string{"errors", "fmt", "maps", "slices", "sort", "strconv", "strings", "time"}
	for _, p := range packages(t) {
		if p.short() != "workflows" {
			continue
		}
		for _, imported := range p.Imports {
			_, ours := workflowImports[imported]
			if !ours && !under(imported, "go.temporal.io/sdk") && !under(imported, "go.temporal.io/api") && !slices.Contains(standard, imported) {
				t.Errorf("workflows imports %s: only activities, pure packages and the SDK", imported)
			}
		}
		for _, name := range p.GoFiles {
			checkNames(t, filepath.Join(p.Dir, name))
		}
		return
	}
	t.Error("there is no package workflows")
}

// checkNames looks for uses of a package beyond the names that workflowImports grants.
func checkNames(t *testing.T, path string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	granted := map[string][]string{}
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		if names := workflowImports[imported]; names != nil {
			require.Nil(t, spec.Name, "%s renames %s", path, imported)
			granted[imported[strings.LastIndex(imported, "/")+1:]] = names
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && granted[x.Name] != nil && !slices.Contains(granted[x.Name], s.Sel.Name) {
				t.Errorf("%s uses %s.%s: of that package workflows take only %v", path, x.Name, s.Sel.Name, granted[x.Name])
			}
		}
		return true
	})
}

// Decisions about what is good and what is deleted must be testable without a disk.
func TestDomainDoesNoIO(t *testing.T) {
	io := []string{"os", "io/ioutil", "io/fs", "net", "syscall", "path/filepath", "log", "database/sql", "golang.org/x/sys", "github.com/docker", "github.com/aws"}
	pure := []string{"internal/backupset", "internal/restore", "internal/retention"}
	found := 0
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.short()) {
			continue
		}
		found++
		for _, imported := range p.Imports {
			allowed := imported == "net/url" // text, no network
			if !allowed && slices.ContainsFunc(io, func(i string) bool { return under(imported, i) }) {
				t.Errorf("%s imports %s: it is pure", p.ImportPath, imported)
			}
			if strings.HasPrefix(imported, module) && !slices.Contains(pure, strings.TrimPrefix(imported, module)) {
				t.Errorf("%s imports %s: it is pure and knows only its like", p.ImportPath, imported)
			}
		}
		for _, name := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			require.NoError(t, err)
			if bytes.Contains(text, []byte("time.Now(")) {
				t.Errorf("%s/%s reads the clock: take the time as an argument", p.short(), name)
			}
		}
	}
	require.Equal(t, len(pure), found)
}

var noNoun = regexp.MustCompile(`^(util|utils|common|helper|helpers|misc|shared|base|lib)$`)

func TestPackagesHaveNounAndPurpose(t *testing.T) {
	for _, p := range packages(t) {
		for part := range strings.SplitSeq(p.short(), "/") {
			if noNoun.MatchString(part) {
				t.Errorf("%s: %q says nothing of what is in it", p.ImportPath, part)
			}
		}
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command "
		}
		if len(p.GoFiles) > 0 && !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: its comment must begin with %q, and says %q", p.ImportPath, want, p.Doc)
		}
	}
}

const lineLimit = 450

// The words are put together here, so that this file does not find itself.
var forbidden = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`), "open an issue instead"},
	{regexp.MustCompile(`\b[tb]\.Skip` + `(f|Now)?\(`), "a test that does not run proves nothing"},
	{regexp.MustCompile(`\b(t|b)\.Log\(err\)`), "return it or fail"},
}

func TestFiles(t *testing.T) {
	count := 0
	for _, p := range packages(t) {
		for _, path := range p.files() {
			count++
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			if n := bytes.Count(data, []byte("\n")); n > lineLimit && !strings.HasSuffix(path, "_test.go") {
				t.Errorf("%s has %d lines, the limit is %d", path, n, lineLimit)
			}
			for _, f := range forbidden {
				if at := f.pattern.FindIndex(data); at != nil {
					t.Errorf("%s:%d: %q: %s", path, 1+bytes.Count(data[:at[0]], []byte("\n")), data[at[0]:at[1]], f.why)
				}
			}
		}
	}
	require.Greater(t, count, 100, "the list of files is whole")
}
