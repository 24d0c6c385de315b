package backupset_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
)

func TestDocs_ManifestNamesEveryField(t *testing.T) {
	data, err := os.ReadFile("../../docs/reference/manifest.md")
	require.NoError(t, err)
	table, sample, found := strings.Cut(string(data), "```json\n")
	require.True(t, found)
	fields(t, reflect.TypeFor[backupset.Manifest](), func(name string) {
		if !strings.Contains(table, "`"+name+"`") && !strings.Contains(table, "."+name+"`") {
			t.Errorf("docs/reference/manifest.md says nothing of %q", name)
		}
	})
	sample, _, _ = strings.Cut(sample, "```")
	m, err := backupset.Decode([]byte(sample))
	require.NoError(t, err, "the page's sample is a manifest")
	checks, verdict := backupset.Prove(m.Components[0], m.Components[1])
	require.Equal(t, m.Checks, checks)
	require.Equal(t, m.Verdict, verdict)
}

// fields calls visit with the JSON name of every field, deeply.
func fields(t *testing.T, of reflect.Type, visit func(string)) {
	t.Helper()
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of.PkgPath() != reflect.TypeFor[backupset.Manifest]().PkgPath() {
		return
	}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		visit(name)
		fields(t, of.Field(i).Type, visit)
	}
}

func TestDocs_EveryCheckIsExplained(t *testing.T) {
	data, err := os.ReadFile("../../docs/reference/checks.md")
	require.NoError(t, err)
	checks, _ := backupset.Prove(backupset.Component{}, backupset.Component{})
	require.NotEmpty(t, checks)
	for _, check := range checks {
		require.Contains(t, string(data), "\n## "+check.Name+"\n")
	}
}
