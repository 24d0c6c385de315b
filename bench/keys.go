package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"canton-backup/internal/backupset"
	"canton-backup/internal/encryption"
)

// cipher is a way to encrypt, and the stock line that undoes it.
type cipher struct {
	method  backupset.Encryption
	to      *encryption.Recipients
	decrypt string // shell line, from standard input to standard output
	close   func()
}

// ciphers makes a key of each kind in the folder.
func ciphers(ctx context.Context, dir string) ([]cipher, error) {
	forAge, err := ageCipher(filepath.Join(dir, "age.key"))
	if err != nil {
		return nil, fmt.Errorf("make age key: %w", err)
	}
	forGPG, err := gpgCipher(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("make GPG key: %w", err)
	}
	return []cipher{forAge, forGPG}, nil
}

func ageCipher(file string) (cipher, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return cipher{}, err
	}
	if err := os.WriteFile(file, []byte(identity.String()+"\n"), 0o600); err != nil {
		return cipher{}, err
	}
	to, err := encryption.ForAge([]string{identity.Recipient().String()})
	return cipher{method: backupset.Age, to: to, decrypt: fmt.Sprintf("age -d -i '%s'", file), close: func() {}}, err
}

func gpgCipher(ctx context.Context, dir string) (cipher, error) {
	ring, err := os.MkdirTemp("", "gpg") // short: the agent's socket lies in it
	if err != nil {
		return cipher{}, err
	}
	c := cipher{method: backupset.GPG, decrypt: fmt.Sprintf("gpg --homedir '%s' --batch --quiet -d", ring)}
	c.close = func() {
		_ = exec.Command("gpgconf", "--homedir", ring, "--kill", "all").Run() // an agent whose ring is gone ends by itself
		_ = os.RemoveAll(ring)
	}
	public := filepath.Join(dir, "public.gpg")
	for _, line := range []string{"--pinentry-mode loopback --quick-gen-key bench future-default default 0", "--output " + public + " --export"} {
		args := append([]string{"--homedir", ring, "--batch", "--quiet", "--passphrase", ""}, strings.Fields(line)...)
		if _, err = output(ctx, exec.CommandContext(ctx, "gpg", args...)); err != nil {
			c.close()
			return cipher{}, err
		}
	}
	c.to, err = encryption.ForGPG([]string{public}, time.Now())
	return c, err
}
