package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// keys are a pair of each kind, made for one run.
type keys struct {
	recipient string // age's public key
	identity  string // file of its private key
	public    string // file of the GPG public key
	ring      string // GPG's folder, with the private key
}

// newKeys makes the keys in a folder; close removes what lies outside of it.
func newKeys(ctx context.Context, dir string) (*keys, error) {
	pair, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make age key: %w", err)
	}
	k := &keys{recipient: pair.Recipient().String(), identity: filepath.Join(dir, "age.key"), public: filepath.Join(dir, "public.gpg")}
	if err := os.WriteFile(k.identity, []byte(pair.String()+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("make age key: %w", err)
	}
	if k.ring, err = os.MkdirTemp("", "gpg"); err != nil { // short: the agent's socket lies in it
		return nil, fmt.Errorf("make GPG key: %w", err)
	}
	for _, line := range []string{"--pinentry-mode loopback --quick-gen-key bench future-default default 0", "--output " + k.public + " --export"} {
		args := append([]string{"--homedir", k.ring, "--batch", "--quiet", "--passphrase", ""}, strings.Fields(line)...)
		if _, err = output(ctx, exec.CommandContext(ctx, "gpg", args...)); err != nil {
			k.close()
			return nil, fmt.Errorf("make GPG key: %w", err)
		}
	}
	return k, nil
}

func (k *keys) close() {
	_ = exec.Command("gpgconf", "--homedir", k.ring, "--kill", "all").Run() // an agent whose ring is gone ends by itself
	_ = os.RemoveAll(k.ring)
}
