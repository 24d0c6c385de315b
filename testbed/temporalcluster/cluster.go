// Package temporalcluster runs the Temporal cluster of docker-compose.temporal.yml without containers, for tests that
// prove that the product works with a Temporal server which is not the embedded one.
//
// It takes the server's settings, its dynamic configuration and the schema script out of that very file, and runs them with
// the stand-alone server and a real PostgreSQL on free loopback ports. So a test of it is a test of the file too, but
// for the images.
package temporalcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	loopback     = "127.0.0.1"
	namespace    = "default"
	retention    = 720 * time.Hour
	startTimeout = 2 * time.Minute
)

// Cluster is a running server with its database.
type Cluster struct {
	address  string
	program  program // the server's
	server   *daemon
	postgres *daemon
	database string // its URL
}

// Start builds the server when .tools/bin lacks it, makes a database in dir and runs both. The namespace "default" exists
// when it returns. It needs PostgreSQL's programs on the machine, and as root a dir that other users can reach, because the
// database runs as another user.
func Start(ctx context.Context, dir string) (_ *Cluster, err error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	bin, err := buildTools(ctx, root)
	if err != nil {
		return nil, err
	}
	file, err := readCompose(filepath.Join(root, "docker-compose.temporal.yml"))
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	pg, err := startPostgres(ctx, filepath.Join(dir, "postgres"), file.env["POSTGRES_USER"], file.env["POSTGRES_PWD"])
	if err != nil {
		return nil, err
	}
	c.postgres = pg.process
	c.database = (&url.URL{Scheme: "postgres", User: url.UserPassword(file.env["POSTGRES_USER"], file.env["POSTGRES_PWD"]),
		Host: net.JoinHostPort(loopback, strconv.Itoa(pg.port)), Path: "postgres"}).String()
	env := file.settings(pg.port)
	if err := runScript(ctx, file.schemaScript, append(env, "PATH="+bin+":"+os.Getenv("PATH"))); err != nil {
		return nil, err
	}
	if err := c.prepareServer(dir, bin, env, file.dynamicConfig); err != nil {
		return nil, err
	}
	return c, c.StartServer(ctx)
}

// Address is the host and port of the API.
func (c *Cluster) Address() string { return c.address }

// Stop ends the server, then its database. Calling it again does nothing.
func (c *Cluster) Stop() error {
	return errors.Join(c.server.stop(), c.postgres.stop())
}

// KillServer ends the server at once, as a crash does. Its database goes on.
func (c *Cluster) KillServer() error {
	err := c.server.cmd.Process.Kill()
	<-c.server.Ended
	if err != nil {
		return fmt.Errorf("kill temporal: %w", err)
	}
	return nil
}

// StartServer starts the server, at the address that it had before if it was killed, and waits until it answers.
func (c *Cluster) StartServer(ctx context.Context) (err error) {
	if c.server, err = startProcess(c.program); err != nil {
		return err
	}
	return c.registerNamespace(ctx)
}

// Bytes is how much the cluster's databases take on disk, indexes and dead rows included.
func (c *Cluster) Bytes(ctx context.Context) (n int64, err error) {
	conn, err := pgx.Connect(ctx, c.database)
	if err != nil {
		return 0, fmt.Errorf("measure databases: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if err := conn.QueryRow(ctx, "SELECT sum(pg_database_size(datname))::bigint FROM pg_database WHERE datname LIKE 'temporal%'").Scan(&n); err != nil {
		return 0, fmt.Errorf("measure databases: %w", err)
	}
	return n, nil
}

func (c *Cluster) prepareServer(dir, bin string, env []string, dynamicConfig string) error {
	dynamic := filepath.Join(dir, "dynamicconfig.yaml")
	if err := os.WriteFile(dynamic, []byte(dynamicConfig), 0o600); err != nil {
		return fmt.Errorf("write dynamic config: %w", err)
	}
	ports, err := freePorts(len(portSettings))
	if err != nil {
		return err
	}
	for i, name := range portSettings {
		env = append(env, name+"="+strconv.Itoa(ports[i]))
	}
	env = append(env, "DYNAMIC_CONFIG_FILE_PATH="+dynamic, "BIND_ON_IP="+loopback)
	c.address = net.JoinHostPort(loopback, strconv.Itoa(ports[0]))
	c.program = program{
		path: filepath.Join(bin, serverTool.name),
		args: []string{"--allow-no-auth", "start"},
		env:  env,
		dir:  dir,
		log:  filepath.Join(dir, "temporal.log"),
	}
	return nil
}

// portSettings are what would collide with another server on this machine. The first is the API's.
var portSettings = []string{
	"FRONTEND_GRPC_PORT", "FRONTEND_HTTP_PORT", "FRONTEND_MEMBERSHIP_PORT",
	"HISTORY_GRPC_PORT", "HISTORY_MEMBERSHIP_PORT",
	"MATCHING_GRPC_PORT", "MATCHING_MEMBERSHIP_PORT",
	"WORKER_GRPC_PORT", "WORKER_MEMBERSHIP_PORT",
}

// registerNamespace does what the namespace service of the file does with the temporal command line.
func (c *Cluster) registerNamespace(ctx context.Context) error {
	api, err := client.NewLazyClient(client.Options{HostPort: c.address, Logger: silence{}})
	if err != nil {
		return fmt.Errorf("connect to %s: %w", c.address, err)
	}
	defer api.Close()
	return c.server.await(ctx, "the namespace", func() error {
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err := api.WorkflowService().RegisterNamespace(call, &workflowservice.RegisterNamespaceRequest{
			Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(retention)})
		var exists *serviceerror.NamespaceAlreadyExists
		if err != nil && !errors.As(err, &exists) {
			return err
		}
		// The services learn of a new namespace some seconds later; only then can a workflow be started in it.
		_, err = api.CountWorkflow(call, &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace})
		return err
	})
}

// silence keeps the SDK from writing to the test's output.
type silence struct{}

func (silence) Debug(string, ...any) {}
func (silence) Info(string, ...any)  {}
func (silence) Warn(string, ...any)  {}
func (silence) Error(string, ...any) {}
