package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed participant.sql
var participantSchema string

// What a connected participant of today records of its synchronizer. The serial is the one that Scan calls active.
const (
	synchronizerAlias    = "global"
	synchronizerProtocol = "35"
	synchronizerSerial   = 4
)

// participant is the program that owns the keys and the ledger.
type participant struct {
	db      *database
	writing bool
}

func participantTarget() target {
	return target{
		Host: env("CANTON_PARTICIPANT_POSTGRES_SERVER", "postgres-splice"), Port: env("CANTON_PARTICIPANT_POSTGRES_PORT", "5432"),
		User: os.Getenv("CANTON_PARTICIPANT_POSTGRES_USER"), Password: os.Getenv("CANTON_PARTICIPANT_POSTGRES_PASSWORD"),
		Database: os.Getenv("CANTON_PARTICIPANT_POSTGRES_DB"), Schema: env("CANTON_PARTICIPANT_POSTGRES_SCHEMA", "participant"),
	}
}

func runParticipant(ctx context.Context) error {
	db, err := participantTarget().open(ctx, "canton-participant")
	if err != nil {
		return err
	}
	p := &participant{db: db, writing: env("TESTBED_WRITE", "on") == "on"}
	if err := p.prepare(ctx); err != nil {
		return fmt.Errorf("start participant: %w", err)
	}
	admin := http.NewServeMux()
	admin.HandleFunc("GET /node", p.serveNode)
	admin.HandleFunc("POST /init", p.serveInit)
	admin.HandleFunc("GET /identities", p.serveIdentities)
	ledger := http.NewServeMux()
	ledger.HandleFunc("GET /v2/state/ledger-end", p.serveLedgerEnd)
	health := http.NewServeMux()
	health.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		if err := p.db.Ping(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	ctx, cancel := context.WithCancelCause(ctx)
	go func() { cancel(p.db.every(ctx, p.advance)) }()
	err = serve(ctx, map[string]http.Handler{":5002": admin, ":7575": ledger, ":5061": health})
	return errors.Join(err, context.Cause(ctx))
}

// prepare creates the schema of a fresh database, or checks what is there. An empty database looks healthy, as with the real one: the
// participant comes up and is not initialized.
func (p *participant) prepare(ctx context.Context) error {
	found, err := p.db.exists(ctx, "participant", "lapi_parameters")
	if err != nil {
		return err
	}
	if !found {
		_, err = p.db.Exec(ctx, participantSchema)
		return err
	}
	var rows, ids int
	if err := p.db.QueryRow(ctx, `SELECT (SELECT count(*) FROM participant.lapi_parameters),
		(SELECT count(*) FROM participant.common_node_id)`).Scan(&rows, &ids); err != nil {
		return err
	}
	if rows != ids || rows > 1 {
		return fmt.Errorf("participant.lapi_parameters has %d rows and common_node_id %d: want one of each", rows, ids)
	}
	return nil
}

// identity is what the admin API says of the node; empty before it was initialized.
type identity struct {
	Identifier string `json:"identifier"`
	Namespace  string `json:"namespace"`
}

func (i identity) String() string { return "PAR::" + i.Identifier + "::" + i.Namespace }

func (p *participant) identity(ctx context.Context) (identity, error) {
	var id identity
	err := p.db.QueryRow(ctx, "SELECT identifier, namespace FROM participant.common_node_id").Scan(&id.Identifier, &id.Namespace)
	if errors.Is(err, pgx.ErrNoRows) {
		return identity{}, nil
	}
	return id, err
}

// initialize gives a fresh participant its keys and its name. The namespace is that of an identities dump, or new.
func (p *participant) initialize(ctx context.Context, id identity) error {
	if id.Namespace == "" {
		id.Namespace = fingerprint()
	}
	keys := [][4]any{
		{id.Namespace, "S", randomBytes(118), "namespace"},
		{fingerprint(), "S", randomBytes(118), "signing"},
		{fingerprint(), "E", randomBytes(138), "encryption"},
	}
	now := time.Now().UnixMicro()
	return pgx.BeginFunc(ctx, p.db, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("INSERT INTO participant.common_node_id VALUES ($1, $2)", id.Identifier, id.Namespace)
		for _, key := range keys {
			batch.Queue("INSERT INTO participant.common_crypto_private_keys (key_id, purpose, data, name) VALUES ($1, $2, $3, $4)", key[:]...)
			batch.Queue(`INSERT INTO participant.common_topology_transactions (store_id, sequenced, valid_from, instance)
				VALUES ('authorized', $1, $1, $2)`, now, randomBytes(400))
		}
		batch.Queue("INSERT INTO participant.lapi_parameters (participant_id) VALUES ($1)", id.Identifier+"::"+id.Namespace)
		batch.Queue(`INSERT INTO participant.lapi_ledger_end_synchronizer_index (synchronizer_id, sequencer_timestamp, record_time)
			VALUES (1, $1, $1)`, now)
		batch.Queue("INSERT INTO participant.par_synchronizer_connection_configs VALUES ($1, $2, $3, 'A')",
			synchronizerAlias, fmt.Sprintf("%s-domain::%s::%s-%d", synchronizerAlias, fingerprint(), synchronizerProtocol, synchronizerSerial), randomBytes(300))
		batch.Queue(`INSERT INTO participant.lapi_users (user_id, primary_party, created_at) VALUES ('ledger-api-user', $1, $2)`,
			id.Identifier+"::"+id.Namespace, now)
		batch.Queue(`INSERT INTO participant.lapi_user_rights SELECT internal_id, 1, NULL, created_at FROM participant.lapi_users`)
		for _, dar := range []string{"splice-amulet", "splice-wallet"} {
			batch.Queue("INSERT INTO participant.par_dars VALUES ($1, $2, $3, $3, '0.1.14')", fingerprint()[4:], randomBytes(64<<10), dar)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
}

// advance publishes one piece of the ledger: the data, its position and the ledger end in one transaction.
func (p *participant) advance(ctx context.Context) error {
	if !p.writing {
		return nil
	}
	now := time.Now().UnixMicro()
	return pgx.BeginFunc(ctx, p.db, func(tx pgx.Tx) error {
		var end int64
		err := tx.QueryRow(ctx, `UPDATE participant.lapi_parameters SET ledger_end = coalesce(ledger_end, 0) + 2,
			ledger_end_sequential_id = coalesce(ledger_end_sequential_id, 0) + 1, ledger_end_string_interning_id = 1,
			ledger_end_publication_time = $1 RETURNING ledger_end`, now).Scan(&end)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // not initialized yet
		}
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue("UPDATE participant.lapi_ledger_end_synchronizer_index SET sequencer_timestamp = $1, record_time = $1", now)
		batch.Queue(`INSERT INTO participant.common_sequenced_events (synchronizer_idx, sequenced_event, type, ts, sequencer_counter, trace_context)
			VALUES (1, $1, 'del', $2, $3, $4)`, randomBytes(900), now, end, randomBytes(24))
		contract := randomBytes(34)
		batch.Queue("INSERT INTO participant.par_contracts VALUES ($1, $2, $3, 'Splice.Amulet:Amulet')", contract, randomBytes(500), hex.EncodeToString(contract[:16]))
		batch.Queue("INSERT INTO participant.lapi_events_activate_contract VALUES ($1, $1, $2, $3, $4, $5)", end, randomBytes(34), contract, now, randomBytes(120))
		return tx.SendBatch(ctx, batch).Close()
	})
}

func (p *participant) serveNode(w http.ResponseWriter, r *http.Request) {
	id, err := p.identity(r.Context())
	answer(w, id, err)
}

func (p *participant) serveInit(w http.ResponseWriter, r *http.Request) {
	var id identity
	err := json.NewDecoder(r.Body).Decode(&id)
	if err == nil {
		err = p.initialize(r.Context(), id)
	}
	if err == nil {
		slog.Info("participant initialized", "identifier", id.Identifier)
	}
	answer(w, id, err)
}

func (p *participant) serveLedgerEnd(w http.ResponseWriter, r *http.Request) {
	var end int64
	err := p.db.QueryRow(r.Context(), "SELECT coalesce(max(ledger_end), 0) FROM participant.lapi_parameters").Scan(&end)
	answer(w, map[string]int64{"offset": end}, err)
}

// answer writes the value as JSON, or the error.
func answer(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// fingerprint is a new key's id: the multihash prefix and 32 bytes, in hex.
func fingerprint() string { return "1220" + hex.EncodeToString(randomBytes(32)) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return b
}
