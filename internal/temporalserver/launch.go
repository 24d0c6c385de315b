package temporalserver

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/membership/static"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
)

// innerServices is how many services listen beside the API.
const innerServices = 3

const (
	clusterName = "active"
	// The id must be the same at every start, or the server takes the files for another cluster's.
	clusterID = "7f0a6f3c-5d0f-4f0e-9a1e-0c5b8a1f7233"
)

var errServerGaveUp = errors.New("the server gave up")

// launch creates the namespace when it is missing and starts the four services: the API on port, the others on inner.
// It returns errServerGaveUp when a service gave up while starting; the cause went to the logger's fail.
func launch(ctx context.Context, o Options, port int, inner []int, logger *serverLogger) (temporal.Server, error) {
	history, visibility := sqlStore(filepath.Join(o.Dir, historyName)), sqlStore(filepath.Join(o.Dir, visibilityName))
	if err := createNamespace(history, o); err != nil {
		return nil, err
	}
	parts, err := partitions(ctx, filepath.Join(o.Dir, historyName))
	if err != nil {
		return nil, err
	}
	cfg := serverConfig(port, inner, history, visibility)

	type result struct {
		server temporal.Server
		err    error
	}
	done := make(chan result, 1)
	go func() {
		r := result{}
		defer func() { done <- r }()
		var server temporal.Server
		if r.err = logger.whileBuilding(func() (err error) {
			server, err = newServer(cfg, parts, logger)
			return err
		}); r.err != nil {
			return
		}
		r.err = errServerGaveUp // stays when Fatal ends this goroutine
		if err := server.Start(); err != nil {
			logger.quiet()
			r.err = errors.Join(err, server.Stop())
			return
		}
		r = result{server: server}
	}()
	r := <-done
	return r.server, r.err
}

func createNamespace(history *config.SQL, o Options) error {
	ns, err := sqlite.NewNamespaceConfig(clusterName, o.Namespace, false, nil)
	if err != nil {
		return err
	}
	ns.Detail.Config.Retention = durationpb.New(o.Retention)
	return sqlite.CreateNamespaces(history, ns)
}

// sqlStore describes one SQLite file. One connection: with more the server meets "database is locked" and gets slower.
// synchronous=2 (FULL) makes a commit survive a power cut, and write-ahead logging pays for it. mode=rw, because the
// file exists by now: one that vanished must be an error and not an empty history.
func sqlStore(path string) *config.SQL {
	return &config.SQL{
		PluginName:   sqliteplugin.PluginName,
		DatabaseName: uriPath(path),
		MaxConns:     1,
		MaxIdleConns: 1,
		ConnectAttributes: map[string]string{
			"mode":         "rw",
			"journal_mode": "wal",
			"synchronous":  "2",
			"busy_timeout": strconv.FormatInt(busyTimeout.Milliseconds(), 10),
		},
	}
}

func newServer(cfg *config.Config, parts int, logger *serverLogger) (temporal.Server, error) {
	authorizer, err := authorization.GetAuthorizerFromConfig(&cfg.Global.Authorization)
	if err != nil {
		return nil, err
	}
	mapper, err := authorization.GetClaimMapperFromConfig(&cfg.Global.Authorization, logger)
	if err != nil {
		return nil, err
	}
	hosts := map[primitives.ServiceName]static.Hosts{}
	for _, name := range temporal.DefaultServices {
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(
			net.JoinHostPort(loopback, strconv.Itoa(cfg.Services[name].RPC.GRPCPort)))
	}
	return temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(logger),
		temporal.WithAuthorizer(authorizer),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return mapper }),
		temporal.WithDynamicConfigClient(dynamicConfig(parts)),
	)
}

// serverConfig leaves Global.Metrics and Global.PProf empty: each would open a port of its own.
func serverConfig(port int, inner []int, history, visibility *config.SQL) *config.Config {
	frontend := net.JoinHostPort(loopback, strconv.Itoa(port))
	const disabled = "disabled"
	return &config.Config{
		Global: config.Global{
			Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: loopback},
		},
		Persistence: config.Persistence{
			DefaultStore:     "history",
			VisibilityStore:  "visibility",
			NumHistoryShards: 1, // written into the file at the first start, for ever
			DataStores: map[string]config.DataStore{
				"history":    {SQL: history},
				"visibility": {SQL: visibility},
			},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend, ClusterID: clusterID},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services: map[string]config.Service{
			string(primitives.FrontendService): service(port),
			string(primitives.HistoryService):  service(inner[0]),
			string(primitives.MatchingService): service(inner[1]),
			string(primitives.WorkerService):   service(inner[2]),
		},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: disabled},
			Visibility: config.VisibilityArchival{State: disabled},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: disabled},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: disabled},
		}},
		PublicClient: config.PublicClient{HostPort: frontend},
	}
}

func service(port int) config.Service {
	return config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: loopback}}
}
