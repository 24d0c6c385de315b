package config_test

import (
	"fmt"
	"strings"
	"testing"

	"canton-backup/internal/config"
	"canton-backup/internal/testkit/page"
)

const settingsHead = `# Settings

<!-- Made from internal/config/keys.go by ` + "`make docs`" + `. Edit that. -->

The file is ` + "`~/.canton/toolkit.conf`" + ` (another one: ` + "`--conf`, or `CANTON_BACKUP_CONF`" + `). It is read afresh at every run, so an edit is live at the next
one; ` + "`BACKUP_EVERY`, `NODE_NAME`, `HEALTH_ADDRESS`" + ` and the two Temporal ports take a restart of the worker. An environment variable of the same name overrides the file.

One ` + "`KEY=value`" + ` a line. The value may stand in double or single quotes. Nothing is expanded: a ` + "`$`" + ` in a secret is a ` + "`$`" + `. ` + "`#`" + ` begins a
comment. Of duplicates the last non-empty one counts. Line ends may be CRLF. Unknown keys give a warning, and ` + "`canton-backup config check`" + `
reports every bad value at once.

A file with the toolkit's keys alone works as before, with one difference: the newest ` + "`KEEP_LAST`" + ` verified sets are never pruned,
whatever ` + "`RETENTION_DAYS`" + ` says.

| Key | Default | Meaning |
|---|---|---|
`

func TestDocs_Settings(t *testing.T) {
	var b strings.Builder
	b.WriteString(settingsHead)
	for _, k := range config.Keys {
		fallback := "none"
		if k.Default != "" {
			fallback = "`" + k.Default + "`"
			if strings.Contains(k.Default, " ") {
				fallback = k.Default
			}
		}
		meaning := k.Help
		if k.Secret {
			meaning += ". Secret: shown as `[redacted]` everywhere"
		}
		cell := strings.NewReplacer("|", `\|`)
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.Name, cell.Replace(fallback), cell.Replace(meaning))
	}
	b.WriteString("\n`toolkit.conf.example` at the top of the repository is what `canton-backup config init` writes.\n")
	page.Current(t, "docs/reference/settings.md", b.String())
}

func TestDocs_Example(t *testing.T) {
	page.Current(t, "toolkit.conf.example", config.Template())
}
