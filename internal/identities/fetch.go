package identities

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	path      = "/api/validator/v0/admin/participant/identities"
	sizeLimit = 1 << 20          // a real dump has 2 to 3 KB
	patience  = 30 * time.Second // with the identity provider
)

// Fetch asks the source for the node's identities. Errors: ErrUnreachable, ErrDenied, ErrMalformed; the context's own when it ends. No text of
// them holds a token or a key.
func Fetch(ctx context.Context, s Source) (*Dump, error) { return fetchWithin(ctx, s, patience) }

func fetchWithin(ctx context.Context, s Source, limit time.Duration) (*Dump, error) {
	asked, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dump, err := s.fetch(asked)
	switch {
	case err == nil:
		return dump, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("fetch identities: %w", ctx.Err())
	case asked.Err() != nil:
		return nil, fmt.Errorf("fetch identities: %w: %s, or the identity provider before it, gave no whole answer within %s", ErrUnreachable, s.Base, limit)
	default:
		return nil, fmt.Errorf("fetch identities: %w", err)
	}
}

func (s Source) fetch(ctx context.Context) (*Dump, error) {
	bearer, err := s.token(ctx)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.Base, "/")+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the address is malformed; check IDENTITIES_URL", ErrUnreachable)
	}
	request.Header.Set("Authorization", "Bearer "+bearer.Reveal())
	request.Header.Set("Accept", "application/json")
	// Neither token nor keys go through a proxy of the environment: the app is on this host.
	client, done := newClient(nil)
	defer done()
	body, status, err := ask(client, request)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return nil, fmt.Errorf("%w: %s %s; %s", ErrDenied, s.Base, answers(status), s.whoWeAre())
	case status != http.StatusOK:
		return nil, fmt.Errorf("%w: %s %s", ErrUnreachable, s.Base, answers(status))
	}
	return Parse(body)
}

// ask sends the request and reads the whole answer.
func ask(client *http.Client, request *http.Request) (body []byte, status int, err error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, sizeLimit+1))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("%w: the answer breaks off: %w", ErrUnreachable, err)
	case len(body) > sizeLimit:
		return nil, 0, fmt.Errorf("%w: the answer has more than 1 MiB", ErrMalformed)
	}
	return body, response.StatusCode, nil
}

// answers words a status in our own words: the peer chooses what stands beside the number.
func answers(status int) string {
	text := fmt.Sprintf("answers %d %s", status, http.StatusText(status))
	if status/100 == 3 {
		text += ", which is not followed"
	}
	return text
}

func (s Source) whoWeAre() string {
	if s.Client == nil {
		return fmt.Sprintf("asked as user %q for audience %q, auth off; check IDENTITIES_USER and IDENTITIES_AUDIENCE", s.User, s.Audience)
	}
	return fmt.Sprintf("asked as client %q for audience %q; that client must be an administrator of the validator, see IDENTITIES_CLIENT_ID and IDENTITIES_AUDIENCE", s.Client.ID, s.Audience)
}
