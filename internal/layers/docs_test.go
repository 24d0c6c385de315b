package layers_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/config"
)

const root = "../.."

// pages are the Markdown files of the repository, as paths from its top.
func pages(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	all := strings.Fields(string(out))
	require.Contains(t, all, "README.md")
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return string(data)
}

func TestEverySettingIsDocumented(t *testing.T) {
	page := read(t, "docs/reference/settings.md")
	for _, k := range config.Keys {
		if !strings.Contains(page, "\n| `"+k.Name+"` |") {
			t.Errorf("docs/reference/settings.md says nothing of %s", k.Name)
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	noSlug  = regexp.MustCompile(`[^a-z0-9 _-]`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
)

// slugs are the anchors that a page's headings make.
func slugs(text string) map[string]bool {
	all := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		slug := noSlug.ReplaceAllString(strings.ToLower(h[1]), "")
		all[strings.ReplaceAll(slug, " ", "-")] = true
	}
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		text := read(t, page)
		for _, match := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(match[1], "://") || strings.HasPrefix(match[1], "mailto:") {
				continue
			}
			path := page
			if target != "" {
				path = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s links to %s, which is not there", page, match[1])
			} else if anchor != "" && strings.HasSuffix(path, ".md") && !slugs(read(t, path))[anchor] {
				t.Errorf("%s links to %s: that page has no such heading", page, match[1])
			}
		}
	}
}

var (
	codeWords = regexp.MustCompile("`canton-backup ((?:[a-z]+ ?)+)")
	makeWords = regexp.MustCompile("(?m)`make ([a-z-]+)`|^ *make ([a-z-]+)$")
	docsPath  = regexp.MustCompile(`docs/[a-z/-]+\.md`)
)

// What the pages and the code tell people to type or to read must be there.
func TestPagesNameWhatExists(t *testing.T) {
	commands := read(t, "docs/reference/commands.md")
	makefile := read(t, "Makefile")
	for _, page := range pages(t) {
		text := read(t, page)
		for _, match := range codeWords.FindAllStringSubmatch(text, -1) {
			if command := strings.Fields(match[1])[0]; !strings.Contains(commands, "## canton-backup "+command+"\n") {
				t.Errorf("%s names the command %q, which does not exist", page, command)
			}
		}
		for _, match := range makeWords.FindAllStringSubmatch(text, -1) {
			if target := match[1] + match[2]; !strings.Contains(makefile, "\n"+target+":") {
				t.Errorf("%s names the make target %q, which does not exist", page, target)
			}
		}
	}
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			data, err := os.ReadFile(filepath.Join(p.Dir, name))
			require.NoError(t, err)
			for _, path := range docsPath.FindAllString(string(data), -1) {
				if _, err := os.Stat(filepath.Join(root, path)); err != nil {
					t.Errorf("%s/%s sends its reader to %s, which is not there", p.short(), name, path)
				}
			}
		}
	}
}

// A page must not name the machine on which it was written.
func TestPagesNameNoWorkplace(t *testing.T) {
	workplace := regexp.MustCompile(`(^|[^a-z])/wo` + `rk/(main|shared|\.)`)
	for _, page := range pages(t) {
		if found := workplace.FindString(read(t, page)); found != "" {
			t.Errorf("%s names %s", page, found)
		}
	}
}
