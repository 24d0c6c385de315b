package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"
)

// LabelHelper marks our helper containers; its value is the node's name.
const LabelHelper = "canton-backup.helper"

const cleanUpLimit = 20 * time.Second

// HelperSpec describes a helper container.
type HelperSpec struct {
	Node    string   // owner, for the label
	Beside  string   // container whose network namespace it joins
	Image   string   // image id
	Command []string // main process
	Env     []string // NAME=value; no secrets, anyone who may inspect containers reads them
	User    string   // uid:gid
	Folder  string   // host folder, mounted at HelperFolder
}

// HelperFolder is where a helper sees HelperSpec.Folder.
const HelperFolder = "/run/canton-backup"

// Helper is a container that lives as long as its main process, and that process as long as we hold its standard input: when
// this program dies, however it dies, the engine closes the input, the process ends, and the kernel ends everything
// else in the container. A docker exec into the node's own container would go on for hours instead (moby/moby#9098).
type Helper struct {
	engine *Client
	id     string
	Stdin  io.WriteCloser
	Stdout *io.PipeReader
	stderr *tail
	done   chan struct{}
}

// Start runs a helper. The image is the node's own, so nothing is pulled. It has no capabilities, a read-only root, and
// of the host only the one folder.
func (c *Client) Start(ctx context.Context, spec HelperSpec) (*Helper, error) {
	config := &container.Config{
		Image: spec.Image, Entrypoint: spec.Command[:1], Cmd: spec.Command[1:], Env: spec.Env, User: spec.User,
		OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		Labels:      map[string]string{LabelHelper: spec.Node},
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}
	host := &container.HostConfig{
		NetworkMode: container.NetworkMode("container:" + spec.Beside), AutoRemove: true, ReadonlyRootfs: true,
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"},
		Binds: []string{spec.Folder + ":" + HelperFolder},
		Tmpfs: map[string]string{"/tmp": "rw,size=16m"},
		// Backups yield to the validator when both want the processor.
		Resources: container.Resources{CPUShares: 256},
	}
	asked, cancel := c.bounded(ctx)
	defer cancel()
	created, err := c.api.ContainerCreate(asked, config, host, nil, nil, "")
	if err != nil {
		return nil, wrap(asked, "create helper container", err)
	}
	h := &Helper{engine: c, id: created.ID, stderr: &tail{}, done: make(chan struct{})}
	attached, err := c.api.ContainerAttach(ctx, created.ID, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, errors.Join(wrap(ctx, "attach to helper container", err), h.remove())
	}
	if err := c.api.ContainerStart(asked, created.ID, container.StartOptions{}); err != nil {
		attached.Close()
		return nil, errors.Join(wrap(asked, "start helper container", err), h.remove())
	}
	reader, writer := io.Pipe()
	h.Stdin, h.Stdout = attached.Conn, reader
	go func() {
		defer close(h.done)
		_, err := stdcopy.StdCopy(writer, h.stderr, attached.Reader)
		writer.CloseWithError(err) // nil means a plain end of file
	}()
	return h, nil
}

// Stderr returns the last bytes that the main process wrote to its standard error.
func (h *Helper) Stderr() string { return h.stderr.String() }

// Exec runs one more process in the helper and waits for it. It returns the exit code and the last bytes of standard
// error, its standard output is thrown away. When the context ends, Exec returns; Close ends the process.
func (h *Helper) Exec(ctx context.Context, command ...string) (exit int, stderr string, err error) {
	asked, cancel := h.engine.bounded(ctx)
	defer cancel()
	created, err := h.engine.api.ContainerExecCreate(asked, h.id, container.ExecOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, "", wrap(asked, "run "+command[0], err)
	}
	attached, err := h.engine.api.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return 0, "", wrap(ctx, "run "+command[0], err)
	}
	defer attached.Close()
	stop := context.AfterFunc(ctx, attached.Close)
	defer stop()
	errout := &tail{}
	_, copyErr := stdcopy.StdCopy(io.Discard, errout, attached.Reader)
	if ctx.Err() != nil {
		return 0, errout.String(), fmt.Errorf("run %s: %w", command[0], ctx.Err())
	}
	asked, cancelInspect := h.engine.bounded(ctx)
	defer cancelInspect()
	inspected, err := h.engine.api.ContainerExecInspect(asked, created.ID)
	if err != nil {
		return 0, errout.String(), errors.Join(wrap(asked, "run "+command[0], err), copyErr)
	}
	if inspected.Running {
		return 0, errout.String(), fmt.Errorf("run %s: lost its output while it runs: %w", command[0], errors.Join(copyErr, io.ErrUnexpectedEOF))
	}
	return inspected.ExitCode, errout.String(), nil
}

// Close ends the helper and all that runs in it.
func (h *Helper) Close() error {
	_ = h.Stdin.Close() // the removal below is what counts
	_ = h.Stdout.Close()
	err := h.remove()
	<-h.done
	return err
}

// remove uses a context of its own: it must work after a cancellation too.
func (h *Helper) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
	defer cancel()
	return h.engine.removeContainer(ctx, h.id)
}

// RemoveHelpers ends every helper of the node that an earlier process left behind, and returns how many there were. The caller
// holds the node's lock.
func (c *Client) RemoveHelpers(ctx context.Context, node string) (int, error) {
	list, err := c.list(ctx, filters.NewArgs(filters.Arg("label", LabelHelper+"="+node)))
	if err != nil {
		return 0, fmt.Errorf("list helper containers: %w", err)
	}
	for _, summary := range list {
		if err := c.removeContainer(ctx, summary.ID); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

func (c *Client) removeContainer(ctx context.Context, id string) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	err := c.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	// AutoRemove may be at it already: absent, or about to be, is what we want.
	if err == nil || cerrdefs.IsNotFound(err) || strings.Contains(err.Error(), "is already in progress") {
		return nil
	}
	return wrap(ctx, "remove helper container "+short(id), err)
}

// tail keeps the last bytes written to it: enough of a program's complaint, never all of a flood.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailSize = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - tailSize; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.buf.String())
}
