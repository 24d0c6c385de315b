package testbed

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// HostImage is the name of the image of a host's double: a Debian that boots systemd, with ssh and rsync, and without an engine of its own.
func HostImage() string { return repository + "/host:" + digest("image/host.sh") }

// EnsureHost builds that image if it is missing. It takes about a minute the first time.
func EnsureHost(ctx context.Context) error {
	unlock, err := lockImages()
	if err != nil {
		return fmt.Errorf("build image of a host: %w", err)
	}
	defer unlock()
	if hasImage(ctx, HostImage()) {
		return nil
	}
	dir, cleanup, err := unpack("image")
	if err != nil {
		return fmt.Errorf("build image of a host: %w", err)
	}
	defer cleanup()
	if _, err := output(ctx, exec.CommandContext(ctx, "bash", filepath.Join(dir, "host.sh"), suites[DefaultPostgresMajor], HostImage())); err != nil {
		return fmt.Errorf("build image of a host: %w", err)
	}
	return nil
}

// OwnerLabel marks a container, volume or network as this process's, for SweepDead to remove it when the process is gone.
func OwnerLabel() string { return ownerLabel + self() }
