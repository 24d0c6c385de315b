package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/encryption"
	"canton-backup/internal/seal"
	"canton-backup/internal/store"
)

// verified is one line of `verify`; with --json this is the contract.
type verified struct {
	Set   backupset.ID `json:"set"`
	Store string       `json:"store"`
	File  string       `json:"file,omitempty"` // empty when the whole set is absent
	OK    bool         `json:"ok"`
	Note  string       `json:"note,omitempty"` // what was not looked at
	Error string       `json:"error,omitempty"`
}

func newVerify(c *command) *cobra.Command {
	var only, key string
	var stored bool
	cmd := &cobra.Command{
		Use: "verify [SET|latest]", Short: "Read a set back and compare every byte with its manifest", Args: cobra.MaximumNArgs(1),
		Long: `Read a set back from every store that has it, decode it, and compare sizes and digests of the files and of the SQL in them with the
manifest. It does not load the set into a database.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runVerify(cmd.Context(), pick(args), only, key, stored)
		},
	}
	cmd.Flags().StringVar(&only, "store", "", "only this store: local, or a target of BACKUP_TYPE")
	cmd.Flags().StringVar(&key, "key", "", keyHelp)
	cmd.Flags().BoolVar(&stored, "stored", false, "compare the files as they are stored, without a private key; that they can be decrypted is not proven")
	return cmd
}

func (c *command) runVerify(ctx context.Context, id, only, keyFile string, stored bool) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	all, errs := shelves(ctx, s, only)
	everywhere := false
	if id == catalog.Latest {
		if latest, found := newest(all, time.Now()); found {
			id, everywhere = latest, true // an older set may have been pruned somewhere; the newest one belongs in every store
		}
	}
	key := c.reader(s, keyFile)
	var results []verified
	for _, shelf := range all {
		e, err := shelf.Listing.Find(id, time.Now())
		if err != nil {
			if everywhere && shelf.Err == nil {
				r := verified{Set: backupset.ID(id), Store: shelf.Name, Error: "the set is not there"}
				errs = errors.Join(errs, fmt.Errorf("%s: verify set %s: it is not there", shelf.Name, r.Set))
				results = append(results, r)
			}
			continue
		}
		for _, component := range e.Manifest.Components {
			r := verified{Set: e.Manifest.Set, Store: shelf.Name, File: component.File, OK: true}
			err := verifyFile(ctx, shelf.Store, component, key, stored)
			if component.Role == backupset.Identities && (errors.Is(err, encryption.ErrWrongKey) || errors.Is(err, encryption.ErrNoKey)) {
				// Those may be encrypted to others, who are not here: that they are what was stored can be told all the same.
				r.Note = "as stored; it opens for another key"
				err = verifyFile(ctx, shelf.Store, component, key, true)
			}
			if err != nil {
				r.OK, r.Error = false, err.Error()
				errs = errors.Join(errs, fmt.Errorf("%s: %w", shelf.Name, err))
			}
			results = append(results, r)
		}
	}
	if len(results) == 0 {
		return errors.Join(fmt.Errorf("verify set %s: %w in any store", id, store.ErrNotFound), errs)
	}
	return errors.Join(c.print(results, func(w io.Writer) error {
		for _, r := range results {
			outcome := "OK" + dash(r.Note)
			if !r.OK {
				outcome = "FAILED — " + r.Error
			}
			subject := r.File
			if subject == "" {
				subject = string(r.Set)
			}
			if _, err := fmt.Fprintf(w, "%s %s: %s\n", r.Store, subject, outcome); err != nil {
				return err
			}
		}
		return nil
	}), errs)
}

func verifyFile(ctx context.Context, s store.Store, component backupset.Component, key func(backupset.Component) (*encryption.Key, error), stored bool) error {
	r, err := s.Open(ctx, component.File, 0)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("verify %s: the file is missing", component.File) // the set exists, so this is damage
	}
	if err != nil {
		return err
	}
	if stored {
		return errors.Join(seal.VerifyStored(r, component), r.Close())
	}
	opens, err := key(component)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	return errors.Join(seal.Verify(ctx, r, component, opens), r.Close())
}
