package temporalserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/durationpb"

	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/workflowservice/v1"
)

const (
	frontendHealth = "temporal.api.workflowservice.v1.WorkflowService"
	watchInterval  = 10 * time.Second
	watchTimeout   = 5 * time.Second
	// A machine that thrashes for a minute is not a dead server; restarting it then would only add to the load.
	watchStrikes = 6
)

// probe asks the API whether the server works.
type probe struct{ conn *grpc.ClientConn }

func newProbe(address string) (*probe, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return &probe{conn: conn}, nil
}

func (p *probe) close() error {
	if p == nil {
		return nil
	}
	return p.conn.Close()
}

// awaitReady returns when the namespace can be read and keeps closed runs for retention.
func (p *probe) awaitReady(ctx context.Context, namespace string, retention time.Duration, failed <-chan error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.healthy(ctx)
		if err == nil {
			err = p.setRetention(ctx, namespace, retention)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for the server: %w", ctx.Err()), err)
		case cause := <-failed:
			return cause
		case <-tick.C:
		}
	}
}

func (p *probe) healthy(ctx context.Context) error {
	reply, err := grpc_health_v1.NewHealthClient(p.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: frontendHealth})
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	if reply.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("check health: server is %s", reply.GetStatus())
	}
	return nil
}

// setRetention follows a changed setting: creating the namespace looks at the setting only the first time.
func (p *probe) setRetention(ctx context.Context, namespace string, want time.Duration) error {
	service := workflowservice.NewWorkflowServiceClient(p.conn)
	found, err := service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("read namespace %s: %w", namespace, err)
	}
	if found.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration() == want {
		return nil
	}
	_, err = service.UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{
		Namespace: namespace,
		Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(want)},
	})
	if err != nil {
		return fmt.Errorf("set retention of namespace %s: %w", namespace, err)
	}
	return nil
}

// watch asks at every interval, calls dead once when the server stays silent, and ends with ctx.
func (p *probe) watch(ctx context.Context, interval time.Duration, dead func(error)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for strikes := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		call, cancel := context.WithTimeout(ctx, watchTimeout)
		err := p.healthy(call)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			strikes = 0
		default:
			if strikes++; strikes == watchStrikes {
				dead(fmt.Errorf("temporal server: %w", err))
				return
			}
		}
	}
}
