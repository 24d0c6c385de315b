package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"golang.org/x/sys/unix"

	"canton-backup/internal/store"
)

// newHTTPClient makes a client whose connections fail with ErrStalled when no byte moved in either direction for stall. A
// time limit for the whole request would not do: a part of a large file on a slow line may rightly take an hour.
func newHTTPClient(stall time.Duration, authorities *x509.CertPool, limit *store.Limiter) *http.Client {
	dialer := &net.Dialer{Timeout: min(30*time.Second, stall), KeepAlive: 15 * time.Second}
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			if tcp, ok := conn.(*net.TCPConn); ok {
				return &watchedConn{Conn: tcp, tcp: tcp, stall: stall, limit: limit}, nil
			}
			return conn, nil
		},
		TLSClientConfig:     &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 8,
		// Shorter than stall: otherwise a request could take an idle connection at the moment its deadline passes.
		IdleConnTimeout:       min(30*time.Second, stall/2),
		TLSHandshakeTimeout:   stall,
		ExpectContinueTimeout: time.Second,
	}}
}

// watchedConn moves both deadlines ahead with every byte. Bytes that the kernel took and has not delivered yet count as well:
// on a slow line it can be busy with them for longer than the limit.
type watchedConn struct {
	net.Conn         // not *net.TCPConn: its ReadFrom would go round Write
	tcp              *net.TCPConn
	stall            time.Duration
	limit            *store.Limiter
	reading, writing queue
}

// queue is what lay in the kernel's send queue when a deadline last passed.
type queue struct{ bytes int }

func (c *watchedConn) Read(p []byte) (int, error) {
	for {
		c.moved()
		n, err := c.Conn.Read(p)
		if n > 0 {
			c.moved()
		}
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.drains(&c.reading) {
			continue
		}
		return n, c.typed(err)
	}
}

// Write hands over at most 64 KiB at a time: one deadline for a large block would not notice that bytes of it move.
func (c *watchedConn) Write(p []byte) (int, error) {
	for done := 0; ; {
		piece := c.limit.Piece(min(1<<16, len(p)-done))
		// Nobody can end this wait, and nobody needs to: a piece takes a tenth of a second.
		if err := c.limit.Wait(context.Background(), piece); err != nil {
			return done, err
		}
		c.moved()
		n, err := c.Conn.Write(p[done : done+piece])
		done += n
		if errors.Is(err, os.ErrDeadlineExceeded) && (n > 0 || c.drains(&c.writing)) {
			continue
		}
		if err != nil || done >= len(p) {
			return done, c.typed(err)
		}
	}
}

// drains reports whether the send queue changed since the last deadline.
func (c *watchedConn) drains(last *queue) bool {
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return false
	}
	now := 0
	if raw.Control(func(fd uintptr) { now, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) != nil || err != nil {
		return false
	}
	changed := now != last.bytes
	last.bytes = now
	return changed && now > 0
}

func (c *watchedConn) moved() { _ = c.SetDeadline(time.Now().Add(c.stall)) }

func (c *watchedConn) typed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w for %s between here and %s", store.ErrStalled, c.stall, c.RemoteAddr())
	}
	return err
}

// newRetryer retries one request against throttling, server errors and cut lines, pausing longer each time. A stall is
// not retried: it took its time already, and the next Put goes on where this one stopped. Nor is what no repetition cures: a
// certificate that we do not trust, and keys that are not there.
func newRetryer(attempts int, maxBackoff time.Duration) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.MaxBackoff = maxBackoff
		// The SDK allows a client so many retries in all, and then none: an upload of hours on a bad line would use them up.
		o.RateLimiter = ratelimit.None
		first := []retry.IsErrorRetryable{
			retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				if errors.Is(err, store.ErrStalled) || errors.Is(err, store.ErrDenied) || distrusted(err) {
					return aws.FalseTernary
				}
				return aws.UnknownTernary
			}),
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}},
		}
		o.Retryables = append(first, o.Retryables...)
	})
}
