package canton

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/postgres"
)

// Session is what reading evidence needs of a database session; *postgres.Session has it.
type Session interface {
	Query(ctx context.Context, statement string) (string, error)
	QueryJSON(ctx context.Context, statement string, target any) error
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

// Columns that the evidence cannot do without. They are probed first: an unknown Splice version gives UNKNOWN, never an aborted run.
var (
	validatorColumns = []string{
		"validator.store_last_ingested_offsets.store_id", "validator.store_last_ingested_offsets.migration_id",
		"validator.store_last_ingested_offsets.last_ingested_offset", "validator.store_descriptors.id", "validator.store_descriptors.descriptor",
	}
	participantColumns = []string{"participant.lapi_parameters.ledger_end", "participant.lapi_parameters.participant_pruned_up_to_inclusive"}
)

// extras are columns that the record is richer for and no offset check needs. An absent one leaves its field empty: a Splice version that
// renames one of them must not switch off the proof of the pair.
var extras = []struct {
	field, column, query string
}{
	{"node_ids", "participant.common_node_id.namespace", `coalesce(json_agg('PAR::' || identifier || '::' || namespace), '[]') FROM participant.common_node_id`},
	{"record_micros", "participant.lapi_ledger_end_synchronizer_index.record_time", `max(record_time) FROM participant.lapi_ledger_end_synchronizer_index`},
	{"private_keys", "participant.common_crypto_private_keys.wrapper_key_id", `count(*) FROM participant.common_crypto_private_keys`},
	{"wrapped_keys", "participant.common_crypto_private_keys.wrapper_key_id", `count(wrapper_key_id) FROM participant.common_crypto_private_keys`},
	{"kms_keys", "participant.common_kms_metadata_store.kms_key_id", `count(*) FROM participant.common_kms_metadata_store`},
	{"pruning_retention", "participant.par_pruning_schedules.retention", `max(retention) FROM participant.par_pruning_schedules`},
	// Canton 3.3 has no physical id.
	{"synchronizers", "participant.par_synchronizer_connection_configs.physical_synchronizer_id", `json_agg(physical_synchronizer_id ORDER BY 1) FROM participant.par_synchronizer_connection_configs WHERE status = 'A' AND physical_synchronizer_id IS NOT NULL`},
}

// absent returns which of the columns ("schema.table.column") are not in this database.
func absent(ctx context.Context, s Session, columns []string) ([]string, error) {
	wanted := make([]string, len(columns))
	for i, c := range columns {
		wanted[i] = "(" + postgres.Literal(c) + ")"
	}
	var missing []string
	err := s.QueryJSON(ctx, `SELECT coalesce(json_agg(DISTINCT w.c), '[]') FROM (VALUES `+strings.Join(wanted, ", ")+`) w(c)
 WHERE NOT EXISTS (SELECT FROM information_schema.columns i WHERE i.table_schema || '.' || i.table_name || '.' || i.column_name = w.c)`, &missing)
	return missing, err
}

// among names those of the needed columns that are missing, empty when none is.
func among(missing, needed []string) string {
	lost := slices.DeleteFunc(slices.Clone(needed), func(c string) bool { return !slices.Contains(missing, c) })
	if len(lost) == 0 {
		return ""
	}
	return "not in this database: " + strings.Join(lost, ", ")
}

// ReadValidator reads the validator's half of the evidence in the session's snapshot (domain 4.3 B). Only the newest migration id counts: older rows
// may hold greater offsets of an earlier ledger.
func ReadValidator(ctx context.Context, s Session) (*backupset.ValidatorEvidence, error) {
	missing, err := absent(ctx, s, validatorColumns)
	if err != nil {
		return nil, fmt.Errorf("read validator evidence: %w", err)
	}
	if why := among(missing, validatorColumns); why != "" {
		return &backupset.ValidatorEvidence{Missing: why}, nil
	}
	var e backupset.ValidatorEvidence
	err = s.QueryJSON(ctx, `WITH newest AS (SELECT max(migration_id) AS id FROM validator.store_last_ingested_offsets),
 stores AS (SELECT d.descriptor->>'participant' AS participant, o.migration_id,
   CASE WHEN coalesce(o.last_ingested_offset, '') = '' THEN 0
        ELSE ('x' || lpad(right(o.last_ingested_offset, 16), 16, '0'))::bit(64)::bigint END AS position
   FROM validator.store_last_ingested_offsets o JOIN validator.store_descriptors d ON d.id = o.store_id, newest WHERE o.migration_id = newest.id)
SELECT json_build_object('stores', count(*), 'max_offset', max(position), 'migration_id', max(migration_id),
 'participants', coalesce(json_agg(DISTINCT participant) FILTER (WHERE participant IS NOT NULL), '[]')) FROM stores`, &e)
	if err != nil {
		return nil, fmt.Errorf("read validator evidence: %w", err)
	}
	return &e, nil
}

// ReadParticipant reads the participant's half of the evidence in the session's snapshot (domain 4.3 A and A2).
func ReadParticipant(ctx context.Context, s Session) (*backupset.ParticipantEvidence, error) {
	columns := slices.Clone(participantColumns)
	for _, x := range extras {
		columns = append(columns, x.column)
	}
	missing, err := absent(ctx, s, columns)
	if err != nil {
		return nil, fmt.Errorf("read participant evidence: %w", err)
	}
	if why := among(missing, participantColumns); why != "" {
		return &backupset.ParticipantEvidence{Missing: why}, nil
	}
	fields := ""
	for _, x := range extras {
		if !slices.Contains(missing, x.column) {
			fields += fmt.Sprintf(", '%s', (SELECT %s)", x.field, x.query)
		}
	}
	var e struct {
		backupset.ParticipantEvidence
		RecordMicros *int64 `json:"record_micros"`
	}
	err = s.QueryJSON(ctx, `SELECT json_build_object('rows', count(*), 'ledger_end', max(ledger_end), 'pruned_to', max(participant_pruned_up_to_inclusive)`+fields+`)
 FROM participant.lapi_parameters`, &e)
	if err != nil {
		return nil, fmt.Errorf("read participant evidence: %w", err)
	}
	if e.RecordMicros != nil {
		at := time.UnixMicro(*e.RecordMicros).UTC()
		e.RecordTime = &at
	}
	return &e.ParticipantEvidence, nil
}
