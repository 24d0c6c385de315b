package temporalcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// tool is a program of the server's module, built from the version that go.mod pins.
type tool struct{ name, pkg string }

var (
	serverTool = tool{"temporal-server", "go.temporal.io/server/cmd/server"}
	sqlTool    = tool{"temporal-sql-tool", "go.temporal.io/server/cmd/tools/sql"}
)

// moduleRoot is the folder of the go.mod that the test runs in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := goCommand(ctx, "", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	if out == "" || out == os.DevNull {
		return "", errors.New("find go.mod: not inside a module")
	}
	return filepath.Dir(out), nil
}

// buildTools returns a folder with both programs. It is named after the server's version, so that a new pin builds anew.
func buildTools(ctx context.Context, root string) (string, error) {
	version, err := goCommand(ctx, root, "list", "-m", "-f", "{{.Version}}", "go.temporal.io/server")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(root, ".tools", "bin", "temporal-"+version)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", fmt.Errorf("make tools folder: %w", err)
	}
	// Tests of several packages may come here at once; one of them builds.
	lock, err := os.OpenFile(filepath.Join(bin, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("open build lock: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("take build lock: %w", err)
	}
	for _, t := range []tool{serverTool, sqlTool} {
		if err := t.build(ctx, root, bin); err != nil {
			return "", err
		}
	}
	return bin, nil
}

func (t tool) build(ctx context.Context, root, bin string) error {
	target := filepath.Join(bin, t.name)
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	// A build that is killed must not leave half a program under the name that is looked for.
	if _, err := goCommand(ctx, root, "build", "-o", target+".new", t.pkg); err != nil {
		return err
	}
	if err := os.Rename(target+".new", target); err != nil {
		return fmt.Errorf("install %s: %w", t.name, err)
	}
	return nil
}

func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run go %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
