// Package docker is the little that we need of a Docker engine: find a compose service's containers, and run a short-lived helper
// container beside one of them.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
)

// ErrUnavailable: no engine answers, or it refuses us.
var ErrUnavailable = errors.New("docker engine does not answer")

// Labels of docker compose.
const (
	labelProject     = "com.docker.compose.project"
	labelService     = "com.docker.compose.service"
	labelWorkingDir  = "com.docker.compose.project.working_dir"
	labelConfigFiles = "com.docker.compose.project.config_files"
	labelOneOff      = "com.docker.compose.oneoff"
)

// answerLimit bounds one question to the engine: a wedged one takes connections and never answers.
const answerLimit = 2 * time.Minute

// errMute is the cause with which a question ends then.
var errMute = fmt.Errorf("%w: it took the question and said nothing", ErrUnavailable)

// Client talks to one engine.
type Client struct {
	api      *client.Client
	patience time.Duration // see answerLimit
}

// bounded is the context of one question.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.patience, errMute)
}

// Connect finds the engine as the docker command does (DOCKER_HOST, else the local socket). It does not dial yet.
func Connect() (*Client, error) {
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("connect to docker: %w", err)
	}
	return &Client{api: api, patience: answerLimit}, nil
}

// Close releases the connections.
func (c *Client) Close() error { return c.api.Close() }

// Ping proves that an engine answers; it returns its version.
func (c *Client) Ping(ctx context.Context) (string, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	v, err := c.api.ServerVersion(ctx)
	if err != nil {
		return "", wrap(ctx, "ping docker", err)
	}
	return v.Version, nil
}

// Container is what an inspection says of a container.
type Container struct {
	ID          string
	Name        string
	Project     string // compose project
	Service     string // compose service
	WorkingDir  string
	ConfigFiles string
	Running     bool
	Health      string    // "healthy", "starting", "unhealthy", "" without a check
	StartedAt   time.Time // changes with every restart
	Image       string    // reference
	ImageID     string
	Env         map[string]string
	Volumes     map[string]string // mount destination -> volume name
	Folders     map[string]string // mount destination -> where its volume lies on this host
	Networks    []string          // names
	Addresses   []string          // its own on those networks, in their order; reachable from a Linux host. Empty when it does not run
	BoundTo     []string          // addresses of this host that its ports are published on
	Restarts    int               // how often the engine started it again after it ended
}

// Services lists the containers of a compose service, running or not, in all projects or in one, sorted by name.
func (c *Client) Services(ctx context.Context, project, service string) ([]Container, error) {
	args := filters.NewArgs(filters.Arg("label", labelService+"="+service))
	if project != "" {
		args.Add("label", labelProject+"="+project)
	}
	list, err := c.list(ctx, args)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var found []Container
	for _, summary := range list {
		if strings.EqualFold(summary.Labels[labelOneOff], "true") {
			continue
		}
		one, err := c.Inspect(ctx, summary.ID)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	slices.SortFunc(found, func(a, b Container) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

func (c *Client) list(ctx context.Context, args filters.Args) ([]container.Summary, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	list, err := c.api.ContainerList(ctx, container.ListOptions{All: true, Filters: args})
	if err != nil {
		return nil, wrap(ctx, "ask docker", err)
	}
	return list, nil
}

var errGone = errors.New("container is gone")

// Inspect reads one container afresh.
func (c *Client) Inspect(ctx context.Context, id string) (Container, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	info, err := c.api.ContainerInspect(ctx, id)
	if cerrdefs.IsNotFound(err) {
		return Container{}, fmt.Errorf("inspect container %s: %w", short(id), errGone)
	}
	if err != nil {
		return Container{}, wrap(ctx, "inspect container "+short(id), err)
	}
	one := Container{ID: info.ID, Name: strings.TrimPrefix(info.Name, "/"), ImageID: info.Image, Env: map[string]string{}, Volumes: map[string]string{}, Folders: map[string]string{},
		Restarts: info.RestartCount}
	if info.Config != nil {
		one.Image = info.Config.Image
		one.Project, one.Service = info.Config.Labels[labelProject], info.Config.Labels[labelService]
		one.WorkingDir, one.ConfigFiles = info.Config.Labels[labelWorkingDir], info.Config.Labels[labelConfigFiles]
		for _, entry := range info.Config.Env {
			name, value, _ := strings.Cut(entry, "=")
			one.Env[name] = value
		}
	}
	if info.State != nil {
		one.Running = info.State.Running && !info.State.Restarting && !info.State.Paused
		one.StartedAt, _ = time.Parse(time.RFC3339Nano, info.State.StartedAt)
		if info.State.Health != nil {
			one.Health = info.State.Health.Status
		}
	}
	for _, m := range info.Mounts {
		if m.Name != "" {
			one.Volumes[m.Destination], one.Folders[m.Destination] = m.Name, m.Source
		}
	}
	if info.NetworkSettings != nil {
		one.Networks = slices.Sorted(maps.Keys(info.NetworkSettings.Networks))
		for _, name := range one.Networks {
			if end := info.NetworkSettings.Networks[name]; end != nil && end.IPAddress != "" {
				one.Addresses = append(one.Addresses, end.IPAddress)
			}
		}
	}
	if info.HostConfig != nil {
		for _, bindings := range info.HostConfig.PortBindings {
			for _, b := range bindings {
				one.BoundTo = append(one.BoundTo, b.HostIP)
			}
		}
	}
	return one, nil
}

// VolumeFolder is where a volume lies on this host.
func (c *Client) VolumeFolder(ctx context.Context, name string) (string, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	v, err := c.api.VolumeInspect(ctx, name)
	if err != nil {
		return "", wrap(ctx, "inspect volume "+name, err)
	}
	return v.Mountpoint, nil
}

// Words are the last lines that a container wrote, for an error's text; empty when they cannot be had.
func (c *Client) Words(ctx context.Context, id string) string {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	logs, err := c.api.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "20"})
	if err != nil {
		return ""
	}
	defer logs.Close()
	words := &tail{}
	_, _ = stdcopy.StdCopy(words, words, io.LimitReader(logs, 64<<10)) // what there is will do
	text := words.String()
	if len(text) > 600 {
		text = "..." + text[len(text)-600:]
	}
	return text
}

// wrap names what was asked of the engine in ctx, and tells an engine that does not answer from one that refuses.
func wrap(ctx context.Context, action string, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errMute) {
		return fmt.Errorf("%s: %w", action, cause)
	}
	if client.IsErrConnectionFailed(err) || strings.Contains(err.Error(), "permission denied while trying to connect") {
		return fmt.Errorf("%s: %w: %w", action, ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", action, err)
}

func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
