package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed validator.sql
var validatorSchema string

// storeNames are the stores of a validator app with one wallet. The second of them lags behind the first, as stores do.
var storeNames = []string{"DbValidatorStore", "DbUserWalletStore", "DbExternalPartyWalletStore"}

// validator is the program that keeps the wallet and follows the participant's ledger.
type validator struct {
	db           *database
	participant  string // base address of the participant, without port
	client       *http.Client
	migrationID  int64
	identity     identity
	writing      bool
	lastIngested atomic.Int64
	lastSuccess  atomic.Int64 // Unix milliseconds
}

func runValidator(ctx context.Context) error {
	t, err := validatorTarget(os.Getenv("ADDITIONAL_CONFIG_PERSISTENCE"))
	if err != nil {
		return err
	}
	db, err := t.open(ctx, "splice-validator")
	if err != nil {
		return err
	}
	v := &validator{
		db: db, participant: "http://" + env("SPLICE_APP_VALIDATOR_PARTICIPANT_ADDRESS", "participant"),
		client: &http.Client{Timeout: 5 * time.Second}, writing: env("TESTBED_WRITE", "on") == "on",
	}
	if v.migrationID, err = migrationID(); err != nil {
		return err
	}
	if err := v.start(ctx); err != nil {
		return fmt.Errorf("start validator: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() { cancel(v.db.every(ctx, v.ingest)) }()
	err = serve(ctx, map[string]http.Handler{":5003": v.routes(gateFromEnv())})
	return errors.Join(err, context.Cause(ctx))
}

// validatorTarget reads the storage settings out of the HOCON text in which the real container gets them.
func validatorTarget(config string) (target, error) {
	value := func(key string) string {
		m := regexp.MustCompile(`(?m)^\s*` + key + `\s*=\s*"?([^"\n]*?)"?\s*$`).FindStringSubmatch(config)
		if m == nil {
			return ""
		}
		return m[1]
	}
	t := target{
		Host: value("serverName"), Port: value("portNumber"), User: value("user"), Password: value("password"),
		Database: value("databaseName"), Schema: value("currentSchema"),
	}
	if t.Host == "" || t.Database == "" || t.Schema == "" {
		return target{}, errors.New("read storage settings: ADDITIONAL_CONFIG_PERSISTENCE names no server, database or schema")
	}
	return t, nil
}

// migrationID is the configured one. A node of today that was never given one counts from a default.
func migrationID() (int64, error) {
	text := os.Getenv("ADDITIONAL_CONFIG_MIGRATION_ID")
	if i := strings.LastIndex(text, "="); i >= 0 {
		text = strings.TrimSpace(text[i+1:])
	}
	if text == "" {
		text = env("TESTBED_MIGRATION_ID", "1")
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read migration id: %w", err)
	}
	return id, nil
}

func (v *validator) routes(g gate) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/validator/livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /api/validator/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if age := time.Since(time.UnixMilli(v.lastSuccess.Load())); age > 10*time.Second {
			http.Error(w, "no ingestion for "+age.Round(time.Second).String(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /api/validator/version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"version": env("IMAGE_TAG", "unknown")}, nil)
	})
	mux.HandleFunc("GET /api/validator/v0/admin/participant/identities", func(w http.ResponseWriter, r *http.Request) {
		if err := g.check(r); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		var dump identitiesDump
		err := v.get(r.Context(), ":5002/identities", &dump)
		answer(w, dump, err)
	})
	return mux
}

// start brings the node to the point from which it ingests: schema, identity, and the checks a real one makes on its way.
func (v *validator) start(ctx context.Context) error {
	known, err := v.db.exists(ctx, "validator", "store_descriptors")
	if err != nil {
		return err
	}
	own := ""
	if known {
		if own, err = v.recordedParticipant(ctx); err != nil {
			return err
		}
	}
	if v.identity, err = v.awaitNode(ctx); err != nil {
		return err
	}
	if v.identity, err = v.settleIdentity(ctx, own); err != nil {
		return err
	}
	if !known {
		if err := v.create(ctx); err != nil {
			return err
		}
	}
	return v.checkOffsets(ctx)
}

// settleIdentity initializes a fresh participant, and refuses one that is not the node's own.
func (v *validator) settleIdentity(ctx context.Context, own string) (identity, error) {
	hint, dump := os.Getenv("SPLICE_APP_VALIDATOR_PARTY_HINT"), os.Getenv("SPLICE_APP_VALIDATOR_PARTICIPANT_IDENTITIES_DUMP")
	wanted := identity{Identifier: env("SPLICE_APP_VALIDATOR_PARTICIPANT_IDENTIFIER", hint)}
	found := v.identity
	switch {
	case own != "" && found.Identifier == "":
		return found, fmt.Errorf("settle identity: the participant is not initialized, yet the stores belong to %s", own)
	case own != "" && found.String() != own:
		return found, fmt.Errorf("settle identity: node identity mismatch: the participant is %s, the stores belong to %s", found, own)
	case found.Identifier != "" && found.Identifier != wanted.Identifier:
		return found, fmt.Errorf("settle identity: node identity mismatch: the participant's identifier is %q, the configured one %q", found.Identifier, wanted.Identifier)
	case found.Identifier != "":
		return found, nil
	case os.Getenv("SPLICE_APP_VALIDATOR_ONBOARDING_SECRET") == "" && dump == "": // a recovered node was onboarded under its old id
		return found, errors.New("settle identity: a node that is not onboarded needs an onboarding secret")
	}
	if dump != "" {
		raw, err := os.ReadFile(dump)
		if err != nil {
			return found, fmt.Errorf("settle identity: %w", err)
		}
		var old identitiesDump
		if err := json.Unmarshal(raw, &old); err != nil {
			return found, fmt.Errorf("settle identity: read dump: %w", err)
		}
		if parts := strings.Split(old.ID, "::"); len(parts) == 3 {
			wanted.Namespace = parts[2]
		}
	}
	body, err := json.Marshal(wanted)
	if err != nil {
		return found, err
	}
	res, err := v.client.Post(v.participant+":5002/init", "application/json", bytes.NewReader(body))
	if err != nil {
		return found, fmt.Errorf("settle identity: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return found, fmt.Errorf("settle identity: the participant answers %s", res.Status)
	}
	return v.awaitNode(ctx)
}

func (v *validator) recordedParticipant(ctx context.Context) (string, error) {
	var ids []string
	err := v.db.QueryRow(ctx, "SELECT array_agg(DISTINCT descriptor->>'participant') FROM validator.store_descriptors").Scan(&ids)
	if err == nil && len(ids) != 1 {
		err = fmt.Errorf("read store descriptors: %d participants, want one", len(ids))
	}
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// awaitNode asks the participant who it is, as long as it takes to come up.
func (v *validator) awaitNode(ctx context.Context) (identity, error) {
	deadline := time.Now().Add(60 * time.Second)
	for {
		var id identity
		err := v.get(ctx, ":5002/node", &id)
		if err == nil {
			return id, nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return identity{}, fmt.Errorf("ask participant: %w", err)
		}
		slog.Info("waiting for the participant", "cause", err)
		pause(ctx, 500*time.Millisecond)
	}
}

func (v *validator) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.participant+path, nil)
	if err != nil {
		return err
	}
	res, err := v.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// create makes the schema and its stores in one transaction.
func (v *validator) create(ctx context.Context) error {
	return pgx.BeginFunc(ctx, v.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, validatorSchema); err != nil {
			return err
		}
		return v.createStores(ctx, tx)
	})
}
