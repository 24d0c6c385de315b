package identities_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/identities"
	"canton-backup/internal/secret"
)

const (
	endpoint     = "/api/validator/v0/admin/participant/identities"
	clientSecret = "canary-client-secret"
	bearer       = "canary-access-token"
)

// node serves the endpoint and shuts down with the test.
func node(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+endpoint, answer)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// serveTo answers with the dump to whoever brings the provider's token.
func serveTo(t *testing.T) http.HandlerFunc {
	body := whole().bytes(t)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+bearer {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_, _ = w.Write(body)
	}
}

// provider is an identity provider; token answers at its token endpoint.
func provider(t *testing.T, token http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", token)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"token_endpoint": server.URL + "/token"})
	})
	return server
}

func grant(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"access_token":"` + bearer + `","token_type":"Bearer","expires_in":60}`))
}

func client() *identities.Client {
	return &identities.Client{ID: "app", Secret: secret.New(clientSecret)}
}

func silent(t *testing.T, err error) {
	t.Helper()
	for _, word := range []string{"canary", base64.StdEncoding.EncodeToString([]byte(canary))[:16], "eyJ"} {
		require.NotContains(t, err.Error(), word)
	}
}

// With auth off the token is the one that the bundle's get-token.py makes.
func TestFetch_AuthOff(t *testing.T) {
	body := append(whole().bytes(t), '\n')
	server := node(t, func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
		if len(parts) != 3 {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		mac := hmac.New(sha256.New, []byte("unsafe"))
		mac.Write([]byte(parts[0] + "." + parts[1]))
		header, _ := base64.RawURLEncoding.DecodeString(parts[0])
		claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
		var c struct {
			Aud, Sub string
			Iat      int64
		}
		if json.Unmarshal(claims, &c) != nil || !strings.Contains(string(header), `"HS256"`) || c.Aud != "aud" || c.Sub != "administrator" || c.Iat == 0 ||
			base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) != parts[2] {
			http.Error(w, "bad token", http.StatusForbidden)
			return
		}
		_, _ = w.Write(body)
	})
	d, err := identities.Fetch(t.Context(), identities.Source{Base: server.URL + "/", Audience: "aud", User: "administrator"})
	require.NoError(t, err)
	require.Equal(t, body, d.Reveal())
	require.NoError(t, d.Belongs(ownID))
	_, err = identities.Fetch(t.Context(), identities.Source{Base: server.URL, Audience: "aud", User: "mallory"})
	require.ErrorIs(t, err, identities.ErrDenied)
	require.ErrorContains(t, err, "mallory")
	silent(t, err)
}

// With auth on the provider is asked for a token, found by its openid-configuration or named.
func TestFetch_ClientCredentials(t *testing.T) {
	var form atomic.Value
	idp := provider(t, func(w http.ResponseWriter, r *http.Request) {
		if id, key, ok := r.BasicAuth(); !ok || id != "app" || key != clientSecret {
			http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		_ = r.ParseForm()
		form.Store(r.PostForm.Encode())
		grant(w, r)
	})
	app := node(t, serveTo(t))
	for name, where := range map[string]func(*identities.Client){
		"discovered": func(c *identities.Client) { c.WellKnown = idp.URL + "/.well-known/openid-configuration" },
		"named":      func(c *identities.Client) { c.TokenURL = idp.URL + "/token" },
		"named first": func(c *identities.Client) {
			c.TokenURL, c.WellKnown = idp.URL+"/token", "http://127.0.0.1:1/only-containers-know-it"
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := client()
			c.Scope = "daml_ledger_api openid"
			where(c)
			d, err := identities.Fetch(t.Context(), identities.Source{Base: app.URL, Audience: "https://validator", Client: c})
			require.NoError(t, err)
			require.Equal(t, ownID, d.ID)
			require.Equal(t, "audience=https%3A%2F%2Fvalidator&grant_type=client_credentials&scope=daml_ledger_api+openid", form.Load())
		})
	}
}

// Names under localhost are this host whatever the resolver says, and the app's proxy sees the name: the bundle's nginx goes by it.
func TestFetch_ProxyByName(t *testing.T) {
	server := node(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Host, "wallet.localhost:") {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(whole().bytes(t))
	})
	_, err := identities.Fetch(t.Context(), identities.Source{Base: strings.Replace(server.URL, "127.0.0.1", "wallet.localhost", 1)})
	require.NoError(t, err)
	_, err = identities.Fetch(t.Context(), identities.Source{Base: server.URL})
	require.ErrorIs(t, err, identities.ErrUnreachable)
	require.ErrorContains(t, err, "404")
}

// What the app answers, and the name that the caller gets for it.
func TestFetch_BadAnswers(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.Header.Get("Authorization")+canary, code) // an app that repeats the token
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"401":      {status(http.StatusUnauthorized), identities.ErrDenied},
		"403":      {status(http.StatusForbidden), identities.ErrDenied},
		"404":      {status(http.StatusNotFound), identities.ErrUnreachable},
		"500":      {status(http.StatusInternalServerError), identities.ErrUnreachable},
		"204":      {status(http.StatusNoContent), identities.ErrUnreachable},
		"not JSON": {status(http.StatusOK), identities.ErrMalformed},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(append(whole().bytes(t), bytes.Repeat([]byte(" "), 1<<20)...)) // a dump but for its size
		}, identities.ErrMalformed},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			_, _ = w.Write(whole().bytes(t))
		}, identities.ErrUnreachable},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, identities.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			server := node(t, c.answer)
			_, err := identities.Fetch(t.Context(), identities.Source{Base: server.URL})
			require.ErrorIs(t, err, c.want)
			silent(t, err)
		})
	}
	for _, base := range []string{"http://127.0.0.1:1", "http://no such host", "", "ftp://127.0.0.1"} {
		_, err := identities.Fetch(t.Context(), identities.Source{Base: base})
		require.ErrorIs(t, err, identities.ErrUnreachable, base)
		silent(t, err)
	}
}

// Neither token nor secret follows a redirect.
func TestFetch_FollowsNoRedirect(t *testing.T) {
	var visits atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		if r.Method == http.MethodPost {
			grant(w, r)
			return
		}
		_, _ = w.Write(whole().bytes(t))
	}))
	t.Cleanup(trap.Close)
	away := http.RedirectHandler(trap.URL, http.StatusTemporaryRedirect).ServeHTTP
	_, err := identities.Fetch(t.Context(), identities.Source{Base: node(t, away).URL})
	require.ErrorIs(t, err, identities.ErrUnreachable)
	c := client()
	c.TokenURL = provider(t, away).URL + "/token"
	_, err = identities.Fetch(t.Context(), identities.Source{Base: node(t, serveTo(t)).URL, Client: c})
	require.ErrorIs(t, err, identities.ErrUnreachable)
	silent(t, err)
	require.Zero(t, visits.Load())
}

// What the identity provider answers. Some repeat what they were sent.
func TestFetch_BadProviders(t *testing.T) {
	say := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, c := range map[string]struct {
		token http.HandlerFunc
		want  error
		words string
	}{
		"wrong secret":   {say(401, `{"error":"invalid_client","error_description":"`+clientSecret+`"}`), identities.ErrDenied, "(invalid_client)"},
		"wrong audience": {say(403, `{"error":"access_denied"}`), identities.ErrDenied, "access_denied"},
		"echo":           {say(400, `{"error":"`+clientSecret+`"}`), identities.ErrDenied, "400"},
		"error with 200": {say(200, `{"error":"invalid_scope"}`), identities.ErrDenied, "invalid_scope"},
		"no such page":   {say(404, clientSecret), identities.ErrUnreachable, "404"},
		"out of order":   {say(503, clientSecret), identities.ErrUnreachable, "503"},
		"no token":       {say(200, `{"token_type":"`+clientSecret+`"}`), identities.ErrMalformed, "without a token"},
		"not JSON":       {say(200, clientSecret), identities.ErrMalformed, "without a token"},
		"odd token":      {say(200, `{"access_token":"`+bearer+`\nX: y","token_type":"Bearer"}`), identities.ErrUnreachable, ""},
		"useless token":  {say(200, `{"access_token":"canary-other","token_type":"Bearer"}`), identities.ErrDenied, `client "app"`},
	} {
		t.Run(name, func(t *testing.T) {
			k := client()
			k.TokenURL = provider(t, c.token).URL + "/token"
			_, err := identities.Fetch(t.Context(), identities.Source{Base: node(t, serveTo(t)).URL, Client: k})
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.words)
			silent(t, err)
		})
	}
}

// A provider that names no usable token endpoint gets no secret.
func TestFetch_BadDiscovery(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"page":      {"<html>", identities.ErrMalformed},
		"nothing":   {"{}", identities.ErrMalformed},
		"relative":  {`{"token_endpoint":"/token"}`, identities.ErrMalformed},
		"file":      {`{"token_endpoint":"file:///token"}`, identities.ErrMalformed},
		"elsewhere": {`{"token_endpoint":"http://127.0.0.1:1/token"}`, identities.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(c.answer)) }))
			t.Cleanup(idp.Close)
			k := client()
			k.WellKnown = idp.URL
			_, err := identities.Fetch(t.Context(), identities.Source{Base: node(t, serveTo(t)).URL, Client: k})
			require.ErrorIs(t, err, c.want)
			silent(t, err)
		})
	}
}

// Whoever cancels gets the cancellation, not a warning about the node.
func TestFetch_Cancelled(t *testing.T) {
	asked := make(chan struct{})
	server := node(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := identities.Fetch(ctx, identities.Source{Base: server.URL})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, identities.ErrUnreachable)
}
