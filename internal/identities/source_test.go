package identities_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/config"
	"canton-backup/internal/docker"
	"canton-backup/internal/identities"
	"canton-backup/internal/secret"
)

const bundle = "/home/op/.canton/0.7.0/splice-node/docker-compose/validator/"

// validator is the app's container as the bundle starts it.
func validator(files string, env map[string]string) *docker.Container {
	return &docker.Container{Name: "splice-validator-validator-1", Running: true, Addresses: []string{"172.18.0.4", "10.0.0.4"}, ConfigFiles: files, Env: env}
}

func TestLocate(t *testing.T) {
	const ledger = "SPLICE_APP_VALIDATOR_LEDGER_API_AUTH_"
	account := map[string]string{
		ledger + "URL": "https://id/.well-known/openid-configuration", ledger + "CLIENT_ID": "app", ledger + "CLIENT_SECRET": clientSecret, ledger + "SCOPE": "s",
		ledger + "AUDIENCE": "https://ledger", "SPLICE_APP_VALIDATOR_AUTH_AUDIENCE": "https://v", "SPLICE_APP_VALIDATOR_WALLET_USER_NAME": "auth0|1",
	}
	closed := bundle + "compose.yaml," + bundle + "compose-traffic-topups.yaml"
	open := closed + "," + bundle + "compose-disable-auth.yaml"
	for name, c := range map[string]struct {
		validator *docker.Container
		set       config.Identities
		want      identities.Source
	}{
		"auth off": {validator(open, account), config.Identities{},
			identities.Source{Base: "http://172.18.0.4:5003", Audience: "https://v", User: "auth0|1"}},
		"auth off, bundle's defaults": {validator(open, nil), config.Identities{},
			identities.Source{Base: "http://172.18.0.4:5003", Audience: "https://validator.example.com", User: "administrator"}},
		"auth off by the variable alone": {validator("", map[string]string{"ADDITIONAL_CONFIG_DISABLE_AUTH": "x"}), config.Identities{},
			identities.Source{Base: "http://172.18.0.4:5003", Audience: "https://validator.example.com", User: "administrator"}},
		"auth on": {validator(closed, account), config.Identities{},
			identities.Source{Base: "http://172.18.0.4:5003", Audience: "https://v", User: "auth0|1", Client: &identities.Client{
				ID: "app", Secret: secret.New(clientSecret), Scope: "s", WellKnown: "https://id/.well-known/openid-configuration"}}},
		"settings first": {validator(closed, account), config.Identities{URL: "http://wallet.localhost", ClientID: "own", ClientSecret: secret.New("own secret"),
			TokenURL: "https://own/token", Audience: "a", Scope: "o", User: "u"},
			identities.Source{Base: "http://wallet.localhost", Audience: "a", User: "u", Client: &identities.Client{
				ID: "own", Secret: secret.New("own secret"), Scope: "o", TokenURL: "https://own/token", WellKnown: "https://id/.well-known/openid-configuration"}}},
		"settings alone": {nil, config.Identities{URL: "https://wallet.example.com", ClientID: "own", ClientSecret: secret.New("own secret"), TokenURL: "https://own/token"},
			identities.Source{Base: "https://wallet.example.com", Audience: "https://validator.example.com", User: "administrator", Client: &identities.Client{
				ID: "own", Secret: secret.New("own secret"), TokenURL: "https://own/token"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := identities.Locate(c.validator, c.set)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.NotContains(t, fmt.Sprintf("%+v %#v", got, got), "canary")
		})
	}
}

func TestLocate_Refuses(t *testing.T) {
	stopped := validator("", nil)
	stopped.Running = false
	adrift := validator("", nil)
	adrift.Addresses = nil
	half := func(env map[string]string) *docker.Container { return validator(bundle+"compose.yaml", env) }
	const ledger = "SPLICE_APP_VALIDATOR_LEDGER_API_AUTH_"
	for name, c := range map[string]struct {
		validator *docker.Container
		set       config.Identities
		want      error
		names     string
	}{
		"no container":         {nil, config.Identities{}, identities.ErrUnreachable, "IDENTITIES_URL"},
		"stopped":              {stopped, config.Identities{}, identities.ErrUnreachable, "splice-validator-validator-1"},
		"no address":           {adrift, config.Identities{}, identities.ErrUnreachable, "IDENTITIES_URL"},
		"address alone":        {nil, config.Identities{URL: "http://h"}, identities.ErrDenied, "IDENTITIES_CLIENT_ID"},
		"auth on, no account":  {half(nil), config.Identities{}, identities.ErrDenied, "IDENTITIES_CLIENT_SECRET"},
		"auth on, no secret":   {half(map[string]string{ledger + "CLIENT_ID": "app", ledger + "URL": "https://id"}), config.Identities{}, identities.ErrDenied, "IDENTITIES_CLIENT_SECRET"},
		"auth on, no provider": {half(map[string]string{ledger + "CLIENT_ID": "app", ledger + "CLIENT_SECRET": "s"}), config.Identities{}, identities.ErrDenied, "IDENTITIES_TOKEN_URL"},
		"container's secret is not sent for another client": {half(map[string]string{ledger + "CLIENT_SECRET": "s", ledger + "URL": "https://id"}), config.Identities{ClientID: "own"},
			identities.ErrDenied, "IDENTITIES_CLIENT_SECRET"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := identities.Locate(c.validator, c.set)
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.names)
		})
	}
}
