package temporalclient

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const beatPause = 500 * time.Millisecond

// keepBeating stands between the SDK and the network. The SDK cancels an activity whose heartbeat did not get through in the time between
// two of them, so a cluster that stumbles for some seconds would end every dump and upload under way. A heartbeat that got no answer says nothing
// about the step: it is tried until its time is over, then dropped, and the next one follows. Whether the step is lost decides the
// server, by its heartbeat timeout, and a step that it gave up learns so from its next heartbeat.
func keepBeating(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	if method != workflowservice.WorkflowService_RecordActivityTaskHeartbeat_FullMethodName {
		return invoke(ctx, method, request, reply, conn, options...)
	}
	for {
		err := invoke(ctx, method, request, reply, conn, options...)
		if err == nil || !transient(err) || errors.Is(ctx.Err(), context.Canceled) {
			return err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return err // the step itself is being ended
			}
			return nil
		case <-time.After(beatPause):
		}
	}
}

// transient reports whether the answer is the network's or a server's that is not whole, and no word about the activity.
func transient(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.Aborted, codes.ResourceExhausted:
		return true
	}
	return false
}
