package cli

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"canton-backup/internal/app"
	"canton-backup/internal/backupset"
)

func newVersion(c *command) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := map[string]any{"version": app.Version(), "go": runtime.Version(), "manifest_format": backupset.Format}
			return c.print(v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "canton-backup %s (%s, manifest format %d)\n", app.Version(), runtime.Version(), backupset.Format)
				return err
			})
		},
	}
}
