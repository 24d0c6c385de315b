package canton

import (
	"context"
	"errors"
	"fmt"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/postgres"
)

// Session is what reading evidence needs of a database session; *postgres.Session has it.
type Session interface {
	Query(ctx context.Context, statement string) (string, error)
	QueryJSON(ctx context.Context, statement string, target any) error
	// TryJSON is QueryJSON for a statement that may fail, with postgres.ErrStatement, and leaves the session usable.
	TryJSON(ctx context.Context, statement string, target any) error
}

var _ Session = (*postgres.Session)(nil)

// ServerFacts fills what only the server knows, and lists its databases with their sizes in bytes.
func ServerFacts(ctx context.Context, s Session, facts *backupset.NodeFacts) (map[string]int64, error) {
	var err error
	if facts.ServerVersion, err = s.Query(ctx, "SHOW server_version"); err != nil {
		return nil, err
	}
	if facts.DataChecksums, err = s.Query(ctx, "SHOW data_checksums"); err != nil {
		return nil, err
	}
	if err := s.QueryJSON(ctx, `SELECT coalesce(json_agg(rolname ORDER BY 1), '[]') FROM pg_roles WHERE rolname !~ '^pg_'`, &facts.Roles); err != nil {
		return nil, err
	}
	all := map[string]int64{}
	err = s.QueryJSON(ctx, `SELECT coalesce(json_object_agg(datname, pg_database_size(oid)), '{}') FROM pg_database WHERE NOT datistemplate AND datallowconn AND datname <> 'postgres'`, &all)
	return all, err
}

// Tables counts the ordinary tables of a database: one without any is empty, and must not pass for a backup (law 4).
func Tables(ctx context.Context, s Session) (int, error) {
	var n int
	err := s.QueryJSON(ctx, `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p') AND n.nspname NOT IN ('pg_catalog','information_schema','pg_toast')`, &n)
	return n, err
}

// Configuration is what operators set up in a participant by hand, one query of texts for each kind: what the network does not give back
// when a node catches up (domain R11, R25).
var Configuration = []struct{ What, Query string }{
	{"user", "SELECT user_id FROM participant.lapi_users"},
	{"DAR", "SELECT name || ' ' || version FROM participant.par_dars"},
	{"identity provider", "SELECT identity_provider_id FROM participant.lapi_identity_provider_config"},
}

// ReadValidator reads the validator's half of the evidence in the session's snapshot (domain 4.3 B). Only the newest migration id counts: older rows
// may hold greater offsets of an earlier ledger. What an unknown Splice version keeps elsewhere or otherwise is Missing, which
// makes the checks UNKNOWN and aborts nothing.
func ReadValidator(ctx context.Context, s Session) (*backupset.ValidatorEvidence, error) {
	var e struct {
		backupset.ValidatorEvidence
		Odd int `json:"odd"`
	}
	err := s.TryJSON(ctx, `WITH newest AS (SELECT max(migration_id) AS id FROM validator.store_last_ingested_offsets),
 stores AS (SELECT d.descriptor->>'participant' AS participant, o.migration_id, o.last_ingested_offset AS text,
   CASE WHEN coalesce(o.last_ingested_offset, '') = '' THEN 0
        WHEN o.last_ingested_offset ~ '^00[0-9a-f]{16}$' THEN ('x' || right(o.last_ingested_offset, 16))::bit(64)::bigint END AS position
   FROM validator.store_last_ingested_offsets o JOIN validator.store_descriptors d ON d.id = o.store_id, newest WHERE o.migration_id = newest.id)
SELECT json_build_object('stores', count(*), 'max_offset', max(position), 'migration_id', max(migration_id), 'odd', count(*) FILTER (WHERE position IS NULL),
 'participants', coalesce(json_agg(DISTINCT participant) FILTER (WHERE participant IS NOT NULL), '[]')) FROM stores`, &e)
	switch {
	case errors.Is(err, postgres.ErrStatement):
		return &backupset.ValidatorEvidence{Missing: "the offsets cannot be read: " + err.Error()}, nil
	case err != nil:
		return nil, fmt.Errorf("read validator evidence: %w", err)
	case e.Odd > 0:
		e.Missing = fmt.Sprintf("%d offsets are not 18 digits in hex", e.Odd)
	}
	return &e.ValidatorEvidence, nil
}

// ReadParticipant reads the participant's half of the evidence in the session's snapshot (domain 4.3 A and A2). Each part is read by
// itself: a Splice version that renames one must not take the others from the proof and the record.
func ReadParticipant(ctx context.Context, s Session) (*backupset.ParticipantEvidence, error) {
	e := &backupset.ParticipantEvidence{}
	var ledger struct {
		Rows      int    `json:"rows"`
		LedgerEnd *int64 `json:"ledger_end"`
		PrunedTo  *int64 `json:"pruned_to"`
	}
	var recordMicros *int64
	var keys struct {
		Private, Wrapped int64
		IDs              string
	}
	for _, part := range []struct {
		query  string
		target any
	}{
		{`json_build_object('rows', count(*), 'ledger_end', max(ledger_end), 'pruned_to', max(participant_pruned_up_to_inclusive)) FROM participant.lapi_parameters`, &ledger},
		{`coalesce(json_agg('PAR::' || identifier || '::' || namespace), '[]') FROM participant.common_node_id`, &e.NodeIDs},
		{`coalesce(to_json(max(record_time)), 'null') FROM participant.lapi_ledger_end_synchronizer_index`, &recordMicros},
		{`json_build_object('private', count(*), 'wrapped', count(wrapper_key_id), 'ids', coalesce(encode(sha256(convert_to(string_agg(key_id, ',' ORDER BY key_id COLLATE "C"), 'UTF8')), 'hex'), '')) FROM participant.common_crypto_private_keys`, &keys},
		{`count(*) FROM participant.common_kms_metadata_store`, &e.KMSKeys},
		{`coalesce(to_json(max(retention)), 'null') FROM participant.par_pruning_schedules`, &e.PruningRetention},
		// Canton 3.3 has no physical id.
		{`coalesce(json_agg(physical_synchronizer_id ORDER BY 1), '[]') FROM participant.par_synchronizer_connection_configs WHERE status = 'A' AND physical_synchronizer_id IS NOT NULL`, &e.Synchronizers},
	} {
		err := s.TryJSON(ctx, "SELECT "+part.query, part.target)
		switch {
		case errors.Is(err, postgres.ErrStatement) && part.target == &ledger:
			e.Missing = "the ledger's end cannot be read: " + err.Error()
		case errors.Is(err, postgres.ErrStatement):
			e.Unread = append(e.Unread, err.Error())
		case err != nil:
			return nil, fmt.Errorf("read participant evidence: %w", err)
		}
	}
	e.Rows, e.LedgerEnd, e.PrunedTo = ledger.Rows, ledger.LedgerEnd, ledger.PrunedTo
	e.PrivateKeys, e.WrappedKeys, e.KeyIDs = keys.Private, keys.Wrapped, keys.IDs
	if recordMicros != nil {
		at := time.UnixMicro(*recordMicros).UTC()
		e.RecordTime = &at
	}
	return e, nil
}
