package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Service is a container of the stack, under its name in compose.yaml.
type Service = string

// The services.
const (
	Postgres    Service = "postgres-splice"
	Participant Service = "participant"
	Validator   Service = "validator"
	Nginx       Service = "nginx"
)

// ValidatorDB is the validator app's database, always.
const ValidatorDB = "validator"

// Node is a running double. All that it made carries its project's name.
type Node struct {
	Options
	// Bundle is the folder with compose.yaml, start.sh and stop.sh.
	Bundle string
	// Scan is the address of the fake Scan, reachable from this host. The identity provider is there too, under /auth.
	Scan string
	// Password is the superuser's.
	Password string
}

// Up makes a node and returns when it is healthy and, unless it is quiet, both databases have moved. Leftovers of the same project are
// removed first, but not a kept node.
func Up(ctx context.Context, options Options) (_ *Node, err error) {
	o, err := options.resolved()
	if err != nil {
		return nil, err
	}
	if err := Ensure(ctx, o.PostgresMajor); err != nil {
		return nil, err
	}
	if err := clear(ctx, o.Project); err != nil {
		return nil, fmt.Errorf("bring up node %s: %w", o.Project, err)
	}
	owner := ""
	if !o.Keep {
		owner = self()
	}
	n := &Node{Options: o, Password: "pw-" + randomHex(8)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("bring up node %s: %w", o.Project, err), n.Down(context.WithoutCancel(ctx)))
		}
	}()
	if err := n.startScan(ctx, owner); err != nil {
		return nil, err
	}
	if n.Bundle, err = writeBundle(o, n.Password, owner, n.Scan); err != nil {
		return nil, err
	}
	if err := n.save(); err != nil {
		return nil, err
	}
	if err := n.Start(ctx); err != nil {
		return nil, err
	}
	if err := n.awaitWriting(ctx); err != nil {
		return nil, err
	}
	if o.FillMB > 0 {
		if err := n.Fill(ctx, o.FillMB); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// statePath is where a node's maker leaves what another process needs to find it.
func statePath(dir string) string { return filepath.Join(dir, ".canton", "testbed.json") }

func (n *Node) save() error {
	raw, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return fmt.Errorf("save node: %w", err)
	}
	if err := os.WriteFile(statePath(n.Dir), append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("save node: %w", err)
	}
	return nil
}

// Load finds the node whose home is dir, made by another process.
func Load(dir string) (*Node, error) {
	raw, err := os.ReadFile(statePath(dir))
	if err != nil {
		return nil, fmt.Errorf("load node: %w", err)
	}
	n := &Node{}
	if err := json.Unmarshal(raw, n); err != nil {
		return nil, fmt.Errorf("load node: %w", err)
	}
	return n, nil
}

// Down removes the node: containers, volume and network. The bundle stays on disk. It may be called twice.
func (n *Node) Down(ctx context.Context) error {
	if err := remove(ctx, projectLabel+n.Project, ownProjectLabel+n.Project); err != nil {
		return fmt.Errorf("take down node %s: %w", n.Project, err)
	}
	return nil
}

// startScan runs Scan and the identity provider beside the project: what lies outside of a node does not stop with it.
func (n *Node) startScan(ctx context.Context, owner string) error {
	var err error
	for range 3 { // between the look for a free port and its use, another process may take it
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		n.Scan = "http://127.0.0.1:" + strconv.Itoa(port)
		_, err = docker(ctx, "run", "--detach", "--name", n.Project+"-scan", "--restart", "always", "--publish", "127.0.0.1:"+strconv.Itoa(port)+":5012",
			"--env", "IMAGE_TAG="+n.Flavour.version(), "--env", "TESTBED_CLIENT_ID="+AuthClient, "--env", "TESTBED_CLIENT_SECRET="+AuthSecret,
			"--env", "TESTBED_CLIENT_USER="+Admin, "--label", ownProjectLabel+n.Project, "--label", runLabel+n.Run, "--label", ownerLabel+owner,
			nodeRepository()+"scan:latest", "scan")
		if err == nil {
			return nil
		}
		if _, removeErr := docker(ctx, "rm", "--force", n.Project+"-scan"); removeErr != nil {
			return errors.Join(err, removeErr)
		}
	}
	return err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// StartArgs are the arguments of start.sh with which the node was made, without -w.
func (n *Node) StartArgs() []string {
	args := []string{"-s", n.Scan, "-c", n.Scan, "-o", "testbed-onboarding-secret", "-p", n.PartyHint}
	if n.MigrationID != "" {
		args = append(args, "-m", n.MigrationID)
	}
	if n.Auth {
		args = append(args, "-a")
	}
	return args
}

// Start runs the bundle's start.sh as the node was made and waits until it is healthy.
func (n *Node) Start(ctx context.Context) error {
	if _, err := n.RunScript(ctx, "start.sh", append(n.StartArgs(), "-w")...); err != nil {
		return fmt.Errorf("%w\n%s", err, n.lastWords(context.WithoutCancel(ctx)))
	}
	return nil
}

// lastWords are the ends of the containers' logs, for the error of a start that went wrong.
func (n *Node) lastWords(ctx context.Context) string {
	var b strings.Builder
	for _, service := range []Service{Postgres, Participant, Validator} {
		log, err := n.Logs(ctx, service)
		if err != nil {
			log = err.Error()
		}
		fmt.Fprintf(&b, "%s: ...%s\n", service, log[max(0, len(log)-600):])
	}
	return b.String()
}

// Stop runs the bundle's stop.sh: the containers go, the volume stays.
func (n *Node) Stop(ctx context.Context) error {
	_, err := n.RunScript(ctx, "stop.sh")
	return err
}

// RunScript runs start.sh or stop.sh with the given arguments and returns what it printed; its error carries what it complained of.
func (n *Node) RunScript(ctx context.Context, script string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(n.Bundle, script), args...)
	cmd.Dir = n.Bundle
	cmd.Env = append(os.Environ(), "TESTBED_SCAN_TRIES=2")
	return output(ctx, cmd)
}

// Container is the name of a service's container.
func (n *Node) Container(service Service) string { return n.Project + "-" + service + "-1" }

// Volume is the name of the volume that holds the databases.
func (n *Node) Volume() string { return n.Project + "_postgres-splice" }

// Network is the name of the stack's network.
func (n *Node) Network() string { return n.Project + "_splice_validator" }

// ParticipantDB is the name of the participant's database.
func (n *Node) ParticipantDB() string {
	if n.MigrationID == "" {
		return "participant"
	}
	return "participant-" + n.MigrationID
}

// StopService ends a service's container and keeps it.
func (n *Node) StopService(ctx context.Context, service Service) error {
	_, err := docker(ctx, "stop", "--time", "20", n.Container(service))
	return err
}

// KillService ends a service's container at once, as a crash does. Docker does not restart it.
func (n *Node) KillService(ctx context.Context, service Service) error {
	_, err := docker(ctx, "kill", n.Container(service))
	return err
}

// StartService starts a service's container that was stopped, and waits until it is healthy.
func (n *Node) StartService(ctx context.Context, service Service) error {
	if _, err := docker(ctx, "start", n.Container(service)); err != nil {
		return err
	}
	return n.awaitHealthy(ctx, service)
}

// Pause freezes a service: its sockets stay open and nothing answers.
func (n *Node) Pause(ctx context.Context, service Service) error {
	_, err := docker(ctx, "pause", n.Container(service))
	return err
}

// Unpause lets a paused service go on.
func (n *Node) Unpause(ctx context.Context, service Service) error {
	_, err := docker(ctx, "unpause", n.Container(service))
	return err
}

// Health is what Docker says of a service: starting, healthy, unhealthy; none for one without a check.
func (n *Node) Health(ctx context.Context, service Service) (string, error) {
	return docker(ctx, "inspect", "--format", "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", n.Container(service))
}

// Logs is what a service's container printed, both streams.
func (n *Node) Logs(ctx context.Context, service Service) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", "logs", n.Container(service)).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("read logs of %s: %w: %s", service, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

func (n *Node) awaitHealthy(ctx context.Context, service Service) error {
	return await(ctx, time.Minute, service+" to become healthy", func() (bool, error) {
		status, err := n.Health(ctx, service)
		return status == "healthy" || status == "none", err
	})
}

// await polls a condition until it holds, fails or takes too long.
func await(ctx context.Context, limit time.Duration, what string, condition func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, err := condition()
		if ok && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for %s: %w", what, ctx.Err()), err)
		case <-ticker.C:
		}
	}
}

// Exists tells whether the node's volume is there, running or not.
func (n *Node) Exists(ctx context.Context) bool {
	_, err := docker(ctx, "volume", "inspect", n.Volume())
	return err == nil
}
