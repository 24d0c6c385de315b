package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/encryption"
	"canton-backup/internal/seal"
	"canton-backup/internal/store"
)

// heldIdentities is the output of `identities`; with --json this is the contract.
type heldIdentities struct {
	Set        backupset.ID         `json:"set"`
	Store      string               `json:"store"`
	File       string               `json:"file"`
	ID         string               `json:"id"`
	Version    string               `json:"version,omitempty"`
	TakenAt    time.Time            `json:"taken_at"`
	Encryption backupset.Encryption `json:"encryption,omitempty"`
	Recipients []string             `json:"recipients,omitempty"`
	Output     string               `json:"output,omitempty"` // file that the plain JSON was written to
}

func newIdentities(c *command) *cobra.Command {
	var output, key, only string
	cmd := &cobra.Command{
		Use: "identities [SET|latest]", Short: "Show which identities a set holds, or get them out", Args: cobra.MaximumNArgs(1),
		Long: `Show which of the node's identities a set holds ("latest": the newest set that holds any). --output writes the plain JSON to a new file, as
start.sh -i wants it. It holds the node's private keys: see docs/how-to/identities.md.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runIdentities(cmd.Context(), pick(args), only, output, key)
		},
	}
	cmd.Flags().StringVar(&output, "output", "", "write the plain JSON to this file, which must not exist")
	cmd.Flags().StringVar(&key, "key", "", keyHelp)
	cmd.Flags().StringVar(&only, "store", "", "look into this store alone: local, or a target of BACKUP_TYPE")
	return cmd
}

func (c *command) runIdentities(ctx context.Context, set, only, output, keyFile string) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	held, component, from, err := findIdentities(ctx, s, set, only)
	if err != nil {
		return err
	}
	if output != "" {
		opens, err := c.reader(s, keyFile)(component)
		if err != nil {
			return err
		}
		if err := extract(ctx, from, component, opens, output); err != nil {
			return err
		}
		held.Output = output
	}
	return c.print(held, func(w io.Writer) error {
		p := &printer{w: w}
		p.linef("%s, Splice %s, taken %s, in set %s at %s", held.ID, held.Version, held.TakenAt.Format(time.DateTime+" UTC"), held.Set, held.Store)
		if output != "" {
			p.linef("private keys written to %s: remove it when the node is back", output)
		}
		return p.err
	})
}

// findIdentities looks on this host first, then at the targets.
func findIdentities(ctx context.Context, s config.Settings, set, only string) (held heldIdentities, component backupset.Component, from store.Store, err error) {
	all, errs := shelves(ctx, s, only)
	for _, shelf := range all {
		for _, e := range shelf.Listing.Sets {
			named := from == nil && set == string(e.Manifest.Set)
			newer := set == catalog.Latest && e.Own && e.Manifest.Set > held.Set
			c, has := e.Manifest.Component(backupset.Identities)
			if !named && !newer || !has || c.IdentitiesEvidence == nil {
				continue
			}
			held = heldIdentities{Set: e.Manifest.Set, Store: shelf.Name, File: c.File, ID: c.IdentitiesEvidence.ID, Version: c.IdentitiesEvidence.Version,
				TakenAt: c.IdentitiesEvidence.TakenAt, Encryption: c.Encryption, Recipients: c.Recipients}
			component, from = c, shelf.Store
		}
	}
	if from == nil {
		return held, component, nil, errors.Join(fmt.Errorf("find identities in set %s: %w in any store", set, store.ErrNotFound), errs)
	}
	return held, component, from, nil
}

// extract writes the plain text of a component to a file of this user alone, and proves that it is what was stored.
func extract(ctx context.Context, from store.Store, c backupset.Component, key *encryption.Key, output string) (err error) {
	if err := verifyFile(ctx, from, c, func(backupset.Component) (*encryption.Key, error) { return key, nil }, false); err != nil {
		return err
	}
	r, err := from.Open(ctx, c.File, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := seal.Decode(ctx, r, c, key)
	if err != nil {
		return err
	}
	defer text.Close()
	file, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write identities: %w", err)
	}
	_, err = io.Copy(file, text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write identities: %w", err), os.Remove(output))
	}
	return nil
}
