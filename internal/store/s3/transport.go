package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"canton-backup/internal/store"
)

// newHTTPClient makes a client whose connections fail with ErrStalled when no byte moved in either direction for stall. A
// time limit for the whole request would not do: a part of a large file on a slow line may rightly take an hour.
func newHTTPClient(stall time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: min(30*time.Second, stall), KeepAlive: 15 * time.Second}
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &watchedConn{Conn: conn, stall: stall}, nil
		},
		MaxIdleConnsPerHost: 8,
		// Shorter than stall: otherwise a request could take an idle connection at the moment its deadline passes.
		IdleConnTimeout:       min(30*time.Second, stall/2),
		TLSHandshakeTimeout:   stall,
		ExpectContinueTimeout: time.Second,
	}}
}

// watchedConn moves both deadlines ahead with every byte.
type watchedConn struct {
	net.Conn
	stall time.Duration
}

func (c *watchedConn) Read(p []byte) (int, error) {
	c.moved()
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.moved()
	}
	return n, c.typed(err)
}

// Write hands over at most 64 KiB at a time: one deadline for a large block would not notice that bytes of it move.
func (c *watchedConn) Write(p []byte) (int, error) {
	for done := 0; ; {
		c.moved()
		n, err := c.Conn.Write(p[done:min(done+1<<16, len(p))])
		if done += n; err != nil || done >= len(p) {
			return done, c.typed(err)
		}
	}
}

func (c *watchedConn) moved() { _ = c.Conn.SetDeadline(time.Now().Add(c.stall)) }

func (c *watchedConn) typed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w for %s between here and %s", store.ErrStalled, c.stall, c.RemoteAddr())
	}
	return err
}

// newRetryer retries one request against throttling, server errors and cut lines, pausing longer each time. A stall is
// not retried: it took its time already, and the next Put goes on where this one stopped.
func newRetryer(attempts int, maxBackoff time.Duration) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.MaxBackoff = maxBackoff
		first := []retry.IsErrorRetryable{
			retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				if errors.Is(err, store.ErrStalled) {
					return aws.FalseTernary
				}
				return aws.UnknownTernary
			}),
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}},
		}
		o.Retryables = append(first, o.Retryables...)
	})
}
