package config

import (
	"fmt"
	"strings"
)

// recommended are our choices for a new file where they differ from the defaults, which follow the customer's older files.
var recommended = map[string]string{"BACKUP_TYPE": "skip", "COMPRESSION": "zstd"}

// Template is the settings file that `config init` writes: every key with its meaning, the recommended ones set.
func Template() string {
	var b strings.Builder
	b.WriteString("# Settings of canton-backup. KEY=value, read as it stands at every run: nothing is expanded.\n")
	for _, k := range Keys {
		fmt.Fprintf(&b, "\n# %s\n", k.Help)
		if value, ok := recommended[k.Name]; ok {
			fmt.Fprintf(&b, "%s=%s\n", k.Name, value)
			continue
		}
		if k.Default != "" {
			fmt.Fprintf(&b, "# default: %s\n", k.Default)
		}
		fmt.Fprintf(&b, "#%s=\n", k.Name)
	}
	return b.String()
}
