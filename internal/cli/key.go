package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"canton-backup/internal/app"
	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
	"canton-backup/internal/encryption"
	"canton-backup/internal/keyring"
	"canton-backup/internal/secret"
)

// runTerm is for how long a key is lent to a run that is followed; it is taken back when the run ends.
const runTerm = 24 * time.Hour

const keyHelp = "file of the private key of an encrypted set (default: what was lent, or DECRYPTION_KEY, else it is asked for)"

func newUnlock(c *command) *cobra.Command {
	var term time.Duration
	cmd := &cobra.Command{
		Use: "unlock [FILE]", Short: "Lend the worker a private key for a while", Args: cobra.MaximumNArgs(1),
		Long: `Lend the worker of this host a private key for a while, for restores and drills of encrypted sets that are started elsewhere. The worker keeps
it in memory alone. FILE is an age identity, an SSH key or an OpenPGP one; without FILE the key is asked for. A passphrase is asked for.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := c.settings()
			if err != nil {
				return err
			}
			loan, err := c.askLoan(strings.Join(args, ""))
			if err != nil {
				return err
			}
			loan.For = term
			if _, err := keyring.Lend(cmd.Context(), app.KeyringPath(s), loan); err != nil {
				return err
			}
			fmt.Fprintf(c.talk(), "The worker of node %s may decrypt until %s, or until: canton-backup lock\n", s.Node.Name, time.Now().Add(term).Format(time.DateTime))
			return nil
		},
	}
	cmd.Flags().DurationVar(&term, "for", time.Hour, "how long")
	return cmd
}

func newLock(c *command) *cobra.Command {
	return &cobra.Command{
		Use: "lock", Short: "Take a lent private key back", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.settings()
			if err != nil {
				return err
			}
			return keyring.TakeBack(cmd.Context(), app.KeyringPath(s), "")
		},
	}
}

// askLoan reads a private key from the file, or asks for one, and proves that it is one.
func (c *command) askLoan(file string) (keyring.Loan, error) {
	loan, name := keyring.Loan{}, file
	if file == "" {
		answer, err := c.hidden("Private key, or the path of its file: ")
		if err != nil {
			return loan, fmt.Errorf("read private key: %w: %w", encryption.ErrNoKey, err)
		}
		if text := strings.TrimSpace(answer.Reveal()); strings.HasPrefix(text, "AGE-SECRET-KEY-") {
			loan.Data, name = []byte(text), "that was typed"
		} else {
			file, name = text, text
		}
	}
	if loan.Data == nil {
		data, err := os.ReadFile(home(file))
		if err != nil {
			return loan, fmt.Errorf("read private key: %w: %w", encryption.ErrNoKey, err)
		}
		loan.Data = data
	}
	_, err := encryption.ParseKey(loan.Data, name, func(what string) (_ secret.String, err error) {
		loan.Passphrase, err = c.passphrase(what)
		return loan.Passphrase, err
	})
	return loan, err
}

// home spells out a ~ that no shell has, since it was typed at our question.
func home(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if dir, err := os.UserHomeDir(); err == nil {
			return filepath.Join(dir, rest)
		}
	}
	return path
}

func (c *command) passphrase(what string) (secret.String, error) {
	return c.hidden("Passphrase of the private key " + what + ": ")
}

// hidden asks at the terminal, without an echo.
func (c *command) hidden(question string) (secret.String, error) {
	in, ok := c.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return secret.String{}, errors.New("nobody is at the terminal to be asked")
	}
	fmt.Fprint(c.Err, question)
	answer, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(c.Err)
	return secret.New(string(answer)), err
}

// lend prepares the loan of a private key for the run that follows, when the set asks for one and the worker has none.
func (c *command) lend(ctx context.Context, s config.Settings, file string, components []backupset.Component) error {
	encrypted := false
	for _, component := range components {
		encrypted = encrypted || component.Encryption != backupset.Unencrypted
	}
	if file == encryption.GPGAgent && encrypted {
		return &exitError{ExitUsage, errors.New("gpg's key cannot be lent: set DECRYPTION_KEY=gpg-agent, and the worker asks the agent of its own user")}
	}
	if !encrypted || file == "" && (s.Encryption.Key != "" || keyring.Lent(ctx, app.KeyringPath(s))) {
		return nil
	}
	loan, err := c.askLoan(file)
	if err != nil {
		return named(err)
	}
	loan.For = runTerm
	c.loan = &loan
	return nil
}

// lendFor is lend for a set that is still to be found. A set that cannot be found here is for the run to complain of.
func (c *command) lendFor(ctx context.Context, s config.Settings, file, set, from string) error {
	if file == "" && s.Encryption.Key != "" {
		return nil
	}
	all, _ := shelves(ctx, s, from)
	for _, shelf := range all {
		if e, err := shelf.Listing.Find(set, time.Now()); err == nil {
			return c.lend(ctx, s, file, e.Manifest.Dumps())
		}
	}
	return nil
}

// reader is the private key with which this process itself reads a component; nil when the component is plain.
func (c *command) reader(s config.Settings, file string) func(backupset.Component) (*encryption.Key, error) {
	var key *encryption.Key
	return func(component backupset.Component) (*encryption.Key, error) {
		if key != nil || component.Encryption == backupset.Unencrypted {
			return key, nil
		}
		if file == "" {
			file = s.Encryption.Key
		}
		var err error
		if file != "" {
			key, err = encryption.ReadKey(file, c.passphrase)
			return key, err
		}
		loan, err := c.askLoan("")
		if err != nil {
			return nil, err
		}
		key, err = encryption.ParseKey(loan.Data, "that was typed", func(string) (secret.String, error) { return loan.Passphrase, nil })
		return key, err
	}
}
