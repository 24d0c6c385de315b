// Package temporalclient connects to Temporal: to the cluster that the operator configured, else to the server that runs
// inside the worker of this host.
//
// The cluster is configured as for every Temporal tool: TEMPORAL_ADDRESS, TEMPORAL_API_KEY and the TEMPORAL_TLS_* family,
// or a profile of a temporal.toml named by TEMPORAL_PROFILE and TEMPORAL_CONFIG_FILE.
package temporalclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

const defaultNamespace = "default"

// ErrNoAddress means that a profile or an API key is configured and no address to go with it.
var ErrNoAddress = errors.New("no address of the temporal cluster configured")

// external are the settings that each mean "use a cluster". A temporal.toml in its default place means nothing: an
// operator may keep one for other work, and backups must not move to that cluster because of it.
var external = []string{"TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE", "TEMPORAL_API_KEY"}

// Target says where to connect. EmbeddedAddress is required unless a cluster is configured.
type Target struct {
	EmbeddedAddress string              // host:port of the server inside the worker
	Namespace       string              // when the configuration names none; empty means "default"
	Identity        string              // who appears in the Web UI; empty lets the SDK choose pid@host
	Env             envconfig.EnvLookup // nil means the environment of this process
	Logger          *slog.Logger        // nil means silence

	MetricsHandler client.MetricsHandler // nil means none
}

// Configured reports whether env names an external cluster. A nil env is the environment of this process.
func Configured(env envconfig.EnvLookup) bool {
	for _, name := range external {
		if value, ok := lookup(env).LookupEnv(name); ok && value != "" {
			return true
		}
	}
	return false
}

// Address is where Dial would connect. It returns an error when the configuration cannot be read.
func (t Target) Address() (string, error) {
	o, err := t.options()
	return o.HostPort, err
}

// Dial connects and keeps trying with growing pauses until ctx ends: after a reboot the cluster may come up later than
// we do. A refusal that waiting cannot cure, as of a wrong key, is returned at once.
func Dial(ctx context.Context, t Target) (client.Client, error) {
	o, err := t.options()
	if err != nil {
		return nil, err
	}
	return dialUntil(ctx, o, t.logger())
}

func (t Target) logger() *slog.Logger {
	if t.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return t.Logger
}

func (t Target) options() (client.Options, error) {
	// Within this host, compressing costs and saves nothing.
	o := client.Options{HostPort: t.EmbeddedAddress, ConnectionOptions: client.ConnectionOptions{GrpcCompression: &client.GrpcCompressionNone{}}}
	if Configured(t.Env) {
		var err error
		if o, err = loadOptions(t.Env); err != nil {
			return client.Options{}, err
		}
		o.ConnectionOptions.DialOptions = append(o.ConnectionOptions.DialOptions, grpc.WithChainUnaryInterceptor(keepBeating))
	}
	if o.HostPort == "" {
		return client.Options{}, fmt.Errorf("configure temporal: %w: set TEMPORAL_ADDRESS to host:port", ErrNoAddress)
	}
	if o.Namespace == "" {
		o.Namespace = t.Namespace
	}
	if o.Namespace == "" {
		o.Namespace = defaultNamespace
	}
	o.Identity = t.Identity
	o.MetricsHandler = t.MetricsHandler
	o.Logger = log.NewStructuredLogger(t.logger().With("component", "temporal-sdk"))
	return o, nil
}

func loadOptions(env envconfig.EnvLookup) (client.Options, error) {
	profile, err := envconfig.LoadClientConfigProfile(envconfig.LoadClientConfigProfileOptions{EnvLookup: lookup(env)})
	if err != nil {
		return client.Options{}, describeLoadError(env, err)
	}
	o, err := profile.ToClientOptions(envconfig.ToClientOptionsRequest{})
	if err != nil {
		return client.Options{}, fmt.Errorf("configure temporal: %w", err)
	}
	return o, nil
}

// describeLoadError drops the parser's message: it quotes the line it stumbled over, and that may be the API key.
func describeLoadError(env envconfig.EnvLookup, err error) error {
	file, _ := lookup(env).LookupEnv("TEMPORAL_CONFIG_FILE")
	if file == "" {
		file = envconfig.DefaultConfigFilePath()
	}
	profile, _ := lookup(env).LookupEnv("TEMPORAL_PROFILE")
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("read %s: %w", file, path.Err)
	}
	if profile != "" {
		return fmt.Errorf("load profile %q from %s: the file is not valid TOML or has no such profile", profile, file)
	}
	return fmt.Errorf("load %s: the file is not valid TOML", file)
}

func lookup(env envconfig.EnvLookup) envconfig.EnvLookup {
	if env == nil {
		return envconfig.EnvLookupOS
	}
	return env
}

// Reach makes one attempt to connect and to find the namespace. Final tells of its error whether another attempt can do better.
func Reach(ctx context.Context, t Target) (client.Client, error) {
	o, err := t.options()
	if err != nil {
		return nil, err
	}
	c, err := dialOnce(ctx, o)
	if err == nil {
		if err = Probe(ctx, c, o.Namespace); err != nil {
			c.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("connect to temporal at %s: %w", o.HostPort, err)
	}
	return c, nil
}

// Probe asks for the namespace: that takes the server's frontend and its database, and every worker may.
func Probe(ctx context.Context, c client.Client, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	_, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	return err
}

const (
	firstPause  = 200 * time.Millisecond
	longPause   = 5 * time.Second
	dialTimeout = 10 * time.Second
	remindEvery = 12 // attempts: about once a minute
)

func dialUntil(ctx context.Context, o client.Options, logger *slog.Logger) (client.Client, error) {
	for pause, attempt := firstPause, 1; ; attempt++ {
		c, err := dialOnce(ctx, o)
		if err == nil {
			return c, nil
		}
		if Final(err) {
			return nil, fmt.Errorf("connect to temporal at %s: %w", o.HostPort, err)
		}
		if attempt%remindEvery == 1 {
			logger.Warn("temporal does not answer, trying again", "address", o.HostPort, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to temporal at %s: %w after %d attempts: %w", o.HostPort, ctx.Err(), attempt, err)
		case <-time.After(pause):
		}
		pause = min(2*pause, longPause)
	}
}

func dialOnce(ctx context.Context, o client.Options) (client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return client.DialContext(ctx, o)
}

// Final reports whether waiting cannot change the answer. A certificate that does not verify is not among these: gRPC
// reports it like a server that is down.
func Final(err error) bool {
	switch serviceerror.ToStatus(err).Code() {
	case codes.Unauthenticated, codes.PermissionDenied, codes.InvalidArgument:
		return true
	}
	return false
}
