package temporalclient

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A heartbeat that gets no answer must not look like a cancellation; the server's word about the activity must come through.
func TestKeepBeating(t *testing.T) {
	const beat = workflowservice.WorkflowService_RecordActivityTaskHeartbeat_FullMethodName
	for name, c := range map[string]struct {
		method  string
		answers []codes.Code // the last one for ever
		want    codes.Code
		calls   int // at least
	}{
		"answered":                     {beat, []codes.Code{codes.OK}, codes.OK, 1},
		"a stumble":                    {beat, []codes.Code{codes.Unavailable, codes.OK}, codes.OK, 2},
		"an outage beyond its time":    {beat, []codes.Code{codes.Unavailable}, codes.OK, 2},
		"a frontend without a history": {beat, []codes.Code{codes.Unavailable, codes.Internal}, codes.OK, 2},
		"the activity is gone":         {beat, []codes.Code{codes.NotFound}, codes.NotFound, 1},
		"gone after a stumble":         {beat, []codes.Code{codes.Unavailable, codes.NotFound}, codes.NotFound, 2},
		"another call":                 {workflowservice.WorkflowService_RespondActivityTaskCompleted_FullMethodName, []codes.Code{codes.Unavailable}, codes.Unavailable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			calls := 0
			err := keepBeating(ctx, c.method, nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
				code := c.answers[min(calls, len(c.answers)-1)]
				calls++
				return status.Error(code, "") // nil for OK
			})
			require.Equal(t, c.want, status.Code(err))
			require.GreaterOrEqual(t, calls, c.calls)
		})
	}
	t.Run("the step is being ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := keepBeating(ctx, beat, nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			cancel()
			return status.Error(codes.Unavailable, "")
		})
		require.Error(t, err)
	})
}
