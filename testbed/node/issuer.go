package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"time"
)

// issuer plays the operator's identity provider: it gives the one client it knows a token in exchange for its secret. The token is signed with
// that secret, where a real provider has keys of its own.
type issuer struct{ client, secret, user string }

func issuerFromEnv() issuer {
	return issuer{client: os.Getenv("TESTBED_CLIENT_ID"), secret: os.Getenv("TESTBED_CLIENT_SECRET"), user: env("TESTBED_CLIENT_USER", "administrator")}
}

func (i issuer) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /auth/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		base := "http://" + r.Host + "/auth"
		answer(w, map[string]string{"issuer": base, "token_endpoint": base + "/token"}, nil)
	})
	mux.HandleFunc("POST /auth/token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, ok := r.BasicAuth()
		if !ok {
			id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
		}
		known := i.secret != "" && id == i.client && subtle.ConstantTimeCompare([]byte(secret), []byte(i.secret)) == 1
		switch {
		case !known:
			refuse(w, http.StatusUnauthorized, "invalid_client")
		case r.PostFormValue("grant_type") != "client_credentials":
			refuse(w, http.StatusBadRequest, "unsupported_grant_type")
		default:
			answer(w, map[string]any{"access_token": i.token(r.PostFormValue("audience")), "token_type": "Bearer", "expires_in": 300}, nil)
		}
	})
}

func (i issuer) token(audience string) string {
	claims, _ := json.Marshal(map[string]any{"iat": time.Now().Unix(), "aud": audience, "sub": i.user}) // plain values
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	mac := hmac.New(sha256.New, []byte(i.secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// refuse answers as RFC 6749 5.2 wants it.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code}) // the client may be gone
}
