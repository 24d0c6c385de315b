// Package identities fetches a validator's identities dump from its own API and tells whether it is whole and the node's own. The dump holds the
// participant's private keys: with it a node comes back under its parties when no database backup is left (domain R5-R7, R27, R28).
package identities

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"canton-backup/internal/config"
	"canton-backup/internal/docker"
	"canton-backup/internal/secret"
)

// What the validator's bundle does when nothing else is said (domain 2.1, 2.2, 2.7).
const (
	port            = "5003" // of the validator app, not published
	defaultAudience = "https://validator.example.com"
	defaultUser     = "administrator"
	authOff         = "compose-disable-auth.yaml"
)

// Source is where a node's identities are, and as whom we ask for them.
type Source struct {
	Base     string  // http(s)://host[:port] of the validator app, or of a proxy before it
	Audience string  // of the token
	User     string  // subject of the token that we sign ourselves, for a node with auth off
	Client   *Client // auth on: how to get a token. Nil: auth off
}

// Client is the account at the operator's identity provider that the validator app itself uses (OIDC client credentials).
type Client struct {
	ID        string
	Secret    secret.String
	Scope     string
	TokenURL  string // empty: found in WellKnown
	WellKnown string // address of the provider's openid-configuration
}

// Locate finds the source in the validator app's container, nil when there is none, and in the settings, which come first. The app is asked at the
// container's own address: its port is not published, and no token passes through a proxy that way.
//
// The error is ErrUnreachable when nothing tells where the app is, ErrDenied when auth is on and nothing tells the account.
func Locate(validator *docker.Container, set config.Identities) (Source, error) {
	var env map[string]string
	if validator != nil {
		env = validator.Env
	}
	s := Source{
		Base: set.URL, Audience: cmp.Or(set.Audience, env["SPLICE_APP_VALIDATOR_AUTH_AUDIENCE"], defaultAudience),
		User: cmp.Or(set.User, env["SPLICE_APP_VALIDATOR_WALLET_USER_NAME"], defaultUser),
	}
	if s.Base == "" {
		switch {
		case validator == nil:
			return Source{}, fmt.Errorf("find identities: %w: there is no container of the validator app; start the node, or set IDENTITIES_URL", ErrUnreachable)
		case !validator.Running:
			return Source{}, fmt.Errorf("find identities: %w: container %s does not run", ErrUnreachable, validator.Name)
		case len(validator.Addresses) == 0:
			return Source{}, fmt.Errorf("find identities: %w: container %s has no address of its own; set IDENTITIES_URL", ErrUnreachable, validator.Name)
		}
		s.Base = "http://" + net.JoinHostPort(validator.Addresses[0], port)
	}
	if set.ClientID == "" && open(validator) {
		return s, nil
	}
	// The app gets these under the names of the ledger API's client, and is itself that client.
	const prefix = "SPLICE_APP_VALIDATOR_LEDGER_API_AUTH_"
	c := Client{
		ID: cmp.Or(set.ClientID, env[prefix+"CLIENT_ID"]), Secret: set.ClientSecret, Scope: cmp.Or(set.Scope, env[prefix+"SCOPE"]),
		TokenURL: set.TokenURL, WellKnown: env[prefix+"URL"],
	}
	if set.ClientID == "" {
		c.Secret = secret.New(env[prefix+"CLIENT_SECRET"])
	}
	switch {
	case c.ID == "" || c.Secret.Empty():
		return Source{}, fmt.Errorf("find identities: %w: auth is on, and the validator app's container names no client; set IDENTITIES_CLIENT_ID and IDENTITIES_CLIENT_SECRET", ErrDenied)
	case c.TokenURL == "" && c.WellKnown == "":
		return Source{}, fmt.Errorf("find identities: %w: auth is on, and the validator app's container names no identity provider; set IDENTITIES_TOKEN_URL", ErrDenied)
	}
	s.Client = &c
	return s, nil
}

// open tells whether the node takes tokens of the well-known secret: start.sh without -a adds a compose file that makes it so.
func open(validator *docker.Container) bool {
	if validator == nil {
		return false
	}
	return slices.ContainsFunc(strings.Split(validator.ConfigFiles, ","), func(file string) bool { return filepath.Base(file) == authOff }) ||
		validator.Env["ADDITIONAL_CONFIG_DISABLE_AUTH"] != ""
}
