package identities

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"canton-backup/internal/secret"
)

// wellKnownSecret signs the tokens of a node with auth off, as the bundle's get-token.py does. It is no secret.
const wellKnownSecret = "unsafe"

// token is the bearer token to ask with.
func (s Source) token(ctx context.Context) (secret.String, error) {
	if s.Client == nil {
		return sign(s.Audience, s.User, time.Now())
	}
	client, done := newClient(http.ProxyFromEnvironment) // the provider is wherever the operator has it
	defer done()
	where := s.Client.TokenURL
	if where == "" {
		var err error
		if where, err = discover(ctx, client, s.Client.WellKnown); err != nil {
			return secret.String{}, err
		}
	}
	credentials := clientcredentials.Config{
		ClientID: s.Client.ID, ClientSecret: s.Client.Secret.Reveal(), TokenURL: where,
		Scopes: strings.Fields(s.Client.Scope), EndpointParams: url.Values{},
	}
	if s.Audience != "" {
		credentials.EndpointParams.Set("audience", s.Audience)
	}
	got, err := credentials.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return secret.String{}, s.refusal(where, err)
	}
	return secret.New(got.AccessToken), nil
}

// sign makes a JWT with HS256.
func sign(audience, user string, at time.Time) (secret.String, error) {
	claims, err := json.Marshal(map[string]any{"iat": at.Unix(), "aud": audience, "sub": user})
	if err != nil {
		return secret.String{}, fmt.Errorf("sign token: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte(wellKnownSecret))
	mac.Write([]byte(text))
	return secret.New(text + "." + encode(mac.Sum(nil))), nil
}

// discover reads the address of the token endpoint out of the provider's openid-configuration. The client's secret goes there, so a provider
// that is asked by https must not send it out by http.
func discover(ctx context.Context, client *http.Client, wellKnown string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, wellKnown, nil)
	if err != nil {
		return "", fmt.Errorf("%w: the identity provider's address is malformed; set IDENTITIES_TOKEN_URL", ErrUnreachable)
	}
	body, status, err := ask(client, request)
	if err != nil {
		return "", fmt.Errorf("ask identity provider: %w; an address that only containers know is replaced by IDENTITIES_TOKEN_URL", err)
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("%w: the identity provider at %s %s", ErrUnreachable, request.URL.Redacted(), answers(status))
	}
	var document struct {
		TokenEndpoint string `json:"token_endpoint"`
	}
	if json.Unmarshal(body, &document) != nil || document.TokenEndpoint == "" {
		return "", fmt.Errorf("%w: the identity provider at %s names no token endpoint; set IDENTITIES_TOKEN_URL", ErrMalformed, request.URL.Redacted())
	}
	endpoint, err := url.Parse(document.TokenEndpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && (endpoint.Scheme != "http" || request.URL.Scheme != "http") {
		return "", fmt.Errorf("%w: the identity provider at %s names a token endpoint that is no https address", ErrMalformed, request.URL.Redacted())
	}
	return document.TokenEndpoint, nil
}

// code is an error code of RFC 6749 5.2. Anything else a provider says may repeat what we sent it.
var code = regexp.MustCompile(`^[a-z][a-z_]{2,40}$`)

// refusal words why there is no token.
func (s Source) refusal(where string, err error) error {
	address := where
	if u, parseErr := url.Parse(where); parseErr == nil {
		address = u.Redacted()
	}
	var answer *oauth2.RetrieveError
	var transport *url.Error
	switch {
	case errors.As(err, &answer):
		status := answer.Response.StatusCode
		words := answers(status)
		if code.MatchString(answer.ErrorCode) {
			words += " (" + answer.ErrorCode + ")"
		}
		name := ErrUnreachable
		if status < 300 || status >= 400 && status < 500 && status != http.StatusNotFound && status != http.StatusTooManyRequests {
			name = ErrDenied
		}
		return fmt.Errorf("%w: the token endpoint %s %s; asked as client %q for audience %q", name, address, words, s.Client.ID, s.Audience)
	case errors.As(err, &transport):
		return fmt.Errorf("%w: the token endpoint %s: %w", ErrUnreachable, address, transport.Err)
	default:
		return fmt.Errorf("%w: the token endpoint %s answers without a token", ErrMalformed, address)
	}
}

// newClient is a client that follows no redirect, which could carry token or secret elsewhere, keeps bodies as they come, and finds names under
// localhost on this host (RFC 6761), which not every resolver does: the bundle's proxy is wallet.localhost. done closes its connections.
func newClient(proxy func(*http.Request) (*url.URL, error)) (client *http.Client, done func()) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{
		Proxy: proxy, DisableCompression: true, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
				address = net.JoinHostPort("localhost", port)
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
	client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return client, transport.CloseIdleConnections
}
