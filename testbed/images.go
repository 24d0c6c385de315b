package testbed

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

//go:embed image node bundle
var files embed.FS

// DefaultPostgresMajor is the PostgreSQL of a node that asks for none.
const DefaultPostgresMajor = 15

// suites are the Debian suites that hold the major versions of PostgreSQL.
var suites = map[int]string{13: "bullseye", 15: "bookworm", 17: "trixie"}

// repository is the first part of every image's name. The second is a digest of the recipe, so that an edit builds a new image and two
// checkouts on one machine do not fight over a tag.
const repository = "canton-backup-testbed"

// Ensure builds the images that are missing: PostgreSQL in the given majors (none given: the default) and the node program. It takes
// about 45 s a major the first time, and well under a second when all are there. Concurrent callers wait for each other.
func Ensure(ctx context.Context, majors ...int) error {
	if len(majors) == 0 {
		majors = []int{DefaultPostgresMajor}
	}
	for _, major := range majors {
		if _, ok := suites[major]; !ok {
			return fmt.Errorf("build images: there is no PostgreSQL %d here, only 13, 15 and 17", major)
		}
	}
	unlock, err := lockImages()
	if err != nil {
		return fmt.Errorf("build images: %w", err)
	}
	defer unlock()
	for _, major := range majors {
		if err := ensurePostgres(ctx, major); err != nil {
			return fmt.Errorf("build image of PostgreSQL %d: %w", major, err)
		}
	}
	if err := ensureNode(ctx); err != nil {
		return fmt.Errorf("build node image: %w", err)
	}
	return nil
}

// lockImages makes test binaries that run at the same time build one after the other.
func lockImages() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), repository+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// postgresImage is the name of PostgreSQL's image without tag: the tag is the major, as with the official one.
func postgresImage() string {
	return repository + "/" + digest("image/base.sh", "image/Dockerfile.postgres", "image/docker-entrypoint.sh") + "/postgres"
}

// PostgresImage is the full name of the image of a major version, for tests that run PostgreSQL without a node.
func PostgresImage(major int) string { return postgresImage() + ":" + strconv.Itoa(major) }

// nodeRepository is what stands before canton-participant and validator-app in the names of the node's images.
func nodeRepository() string { return repository + "/" + digest("image/Dockerfile.node", "node") + "/" }

// nodeImages are the names under which the one node program is known.
func nodeImages() []string {
	images := []string{"nginx:" + nginxVersion, "scan:latest"}
	for _, flavour := range []Flavour{Legacy, Current} {
		images = append(images, "canton-participant:"+flavour.version(), "validator-app:"+flavour.version())
	}
	for i := range images {
		images[i] = nodeRepository() + images[i]
	}
	return images
}

func ensurePostgres(ctx context.Context, major int) error {
	if hasImage(ctx, PostgresImage(major)) {
		return nil
	}
	dir, cleanup, err := unpack("image")
	if err != nil {
		return err
	}
	defer cleanup()
	base := fmt.Sprintf("%s/base:%d-%s", repository, major, digest("image/base.sh"))
	if !hasImage(ctx, base) {
		if _, err := output(ctx, exec.CommandContext(ctx, "bash", filepath.Join(dir, "base.sh"), suites[major], strconv.Itoa(major), base)); err != nil {
			return err
		}
	}
	_, err = docker(ctx, "build", "--quiet", "--file", filepath.Join(dir, "Dockerfile.postgres"), "--build-arg", "BASE="+base,
		"--build-arg", "MAJOR="+strconv.Itoa(major), "--tag", PostgresImage(major), dir)
	return err
}

func ensureNode(ctx context.Context) error {
	missing := false
	for _, image := range nodeImages() {
		missing = missing || !hasImage(ctx, image)
	}
	if !missing {
		return nil
	}
	dir, cleanup, err := unpack("image")
	if err != nil {
		return err
	}
	defer cleanup()
	// The program is built from the checkout, so the caller has to run inside it. No cgo: the image holds no libc.
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "node"), "canton-backup/testbed/node")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if _, err := output(ctx, build); err != nil {
		return err
	}
	args := []string{"build", "--quiet", "--file", filepath.Join(dir, "Dockerfile.node")}
	for _, image := range nodeImages() {
		args = append(args, "--tag", image)
	}
	_, err = docker(ctx, append(args, dir)...)
	return err
}

func hasImage(ctx context.Context, name string) bool {
	_, err := docker(ctx, "image", "inspect", "--format", "{{.Id}}", name)
	return err == nil
}

// digest is a short digest of embedded files and folders, names included. Tests of the programs do not count.
func digest(roots ...string) string {
	h := sha256.New()
	for _, root := range roots {
		// The files are part of the program: reading them cannot fail.
		_ = fs.WalkDir(files, root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := files.ReadFile(path)
			fmt.Fprintf(h, "%s %d\n%s", path, len(content), content)
			return err
		})
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// unpack writes an embedded folder to a new one on disk. Scripts are executable.
func unpack(root string) (dir string, cleanup func(), err error) {
	dir, err = os.MkdirTemp("", repository+"-")
	if err != nil {
		return "", nil, err
	}
	cleanup = func() { _ = os.RemoveAll(dir) }
	if err := copyFiles(root, dir); err != nil {
		cleanup()
		return "", nil, err
	}
	return dir, cleanup, nil
}

func copyFiles(root, dir string) error {
	entries, err := files.ReadDir(root)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		content, err := files.ReadFile(root + "/" + entry.Name())
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(entry.Name(), ".sh") {
			mode = 0o755
		}
		path := filepath.Join(dir, entry.Name())
		if err := os.WriteFile(path, content, mode); err != nil {
			return err
		}
		// The umask may have taken what the container's user needs to read.
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
	}
	return nil
}
