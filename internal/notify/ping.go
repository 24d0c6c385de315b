package notify

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"canton-backup/internal/secret"
)

// pingLimit bounds one ping.
const pingLimit = 10 * time.Second

// Ping asks a dead-man's address once: suffix "" for success, "start", "fail" (the convention of healthchecks.io). It goes behind the
// address's path; a query stays. The error shows nothing of the address but its host.
func Ping(ctx context.Context, address secret.String, suffix string) error {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	u, err := url.Parse(address.Reveal())
	if err != nil {
		return fmt.Errorf("ping: %w: PING_URL is malformed", ErrRejected)
	}
	words := addressWords(address.Reveal())
	if suffix != "" {
		u = u.JoinPath(suffix)
	}
	got, err := do(ctx, http.MethodGet, u.String(), nil, words)
	if err != nil {
		return fmt.Errorf("ping %s: %w", u.Host, err)
	}
	if got.status < 200 || got.status > 299 {
		return fmt.Errorf("ping %s: %s; check PING_URL", u.Host, got.line)
	}
	return nil
}
