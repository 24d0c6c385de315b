package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
)

// unsafeSecret signs the tokens of a node without auth, as with the real one.
const unsafeSecret = "unsafe"

// identitiesDump is the body of the identities endpoint: it holds the private keys.
type identitiesDump struct {
	ID       string        `json:"id"`
	Keys     []identityKey `json:"keys"`
	Snapshot string        `json:"authorizedStoreSnapshot"`
	Version  string        `json:"version"`
}

type identityKey struct {
	KeyPair string `json:"keyPair"`
	Name    string `json:"name"`
}

// serveIdentities is the participant's half of the endpoint: it reads the keys out of the database.
func (p *participant) serveIdentities(w http.ResponseWriter, r *http.Request) {
	dump, err := p.identities(r.Context())
	answer(w, dump, err)
}

func (p *participant) identities(ctx context.Context) (identitiesDump, error) {
	id, err := p.identity(ctx)
	if err != nil {
		return identitiesDump{}, err
	}
	if id.Identifier == "" {
		return identitiesDump{}, errors.New("read identities: the participant is not initialized")
	}
	dump := identitiesDump{ID: id.String(), Version: env("IMAGE_TAG", "unknown")}
	rows, err := p.db.Query(ctx, "SELECT data, name FROM participant.common_crypto_private_keys ORDER BY name")
	if err != nil {
		return identitiesDump{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var data []byte
		var name string
		if err := rows.Scan(&data, &name); err != nil {
			return identitiesDump{}, err
		}
		dump.Keys = append(dump.Keys, identityKey{KeyPair: base64.StdEncoding.EncodeToString(data), Name: name})
	}
	if err := rows.Err(); err != nil {
		return identitiesDump{}, err
	}
	var snapshot []byte
	err = p.db.QueryRow(ctx, "SELECT coalesce(string_agg(instance, ''::bytea ORDER BY id), '') FROM participant.common_topology_transactions WHERE store_id = 'authorized'").Scan(&snapshot)
	dump.Snapshot = base64.StdEncoding.EncodeToString(snapshot)
	return dump, err
}

// gate checks the bearer token of an admin call. With auth on, the node takes no token of the well-known secret: tokens are then
// signed with the client secret, which stands for the operator's identity provider.
type gate struct {
	secret, audience, user string
}

func gateFromEnv() gate {
	g := gate{secret: unsafeSecret, audience: os.Getenv("SPLICE_APP_VALIDATOR_AUTH_AUDIENCE"), user: env("SPLICE_APP_VALIDATOR_WALLET_USER_NAME", "administrator")}
	if os.Getenv("TESTBED_AUTH") != "disabled" {
		g.secret = os.Getenv("SPLICE_APP_VALIDATOR_LEDGER_API_AUTH_CLIENT_SECRET")
	}
	return g
}

// check tells why the request may not pass.
func (g gate) check(r *http.Request) error {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return errors.New("check token: no bearer token")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("check token: not a JWT")
	}
	var header struct {
		Alg string `json:"alg"`
	}
	if err := decodePart(parts[0], &header); err != nil {
		return err
	}
	if header.Alg != "HS256" || g.secret == "" {
		return fmt.Errorf("check token: algorithm %q is not accepted", header.Alg)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return fmt.Errorf("check token: %w", err)
	}
	mac := hmac.New(sha256.New, []byte(g.secret))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if !hmac.Equal(mac.Sum(nil), signature) {
		return errors.New("check token: wrong signature")
	}
	var claims struct {
		Subject  string          `json:"sub"`
		Audience json.RawMessage `json:"aud"`
	}
	if err := decodePart(parts[1], &claims); err != nil {
		return err
	}
	if !slices.Contains(audiences(claims.Audience), g.audience) {
		return fmt.Errorf("check token: audience is not %q", g.audience)
	}
	if claims.Subject != g.user {
		return fmt.Errorf("check token: subject %q is no administrator", claims.Subject)
	}
	return nil
}

// audiences reads the claim, which is one string or a list.
func audiences(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var many []string
	_ = json.Unmarshal(raw, &many)
	return many
}

func decodePart(part string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return fmt.Errorf("check token: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("check token: %w", err)
	}
	return nil
}
