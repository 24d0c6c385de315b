package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
)

// viewsTable holds text: no table of the participant's own is made of it.
const viewsTable = `CREATE TABLE IF NOT EXISTS participant.testbed_views (
	contract_id varchar PRIMARY KEY, template_id varchar NOT NULL, party varchar NOT NULL, document jsonb NOT NULL)`

// fillKinds adds SQL text, so many bytes in those shares, to the database of the container it runs in.
func fillKinds(ctx context.Context, w *writer, shares []share, bytes int64) error {
	fill, target := w.validator, target{}
	if os.Getenv("CANTON_PARTICIPANT_POSTGRES_DB") != "" {
		fill, target = w.participant, participantTarget()
	} else {
		var err error
		if target, err = validatorTarget(os.Getenv("ADDITIONAL_CONFIG_PERSISTENCE")); err != nil {
			return err
		}
	}
	conn, err := target.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, s := range shares {
		if err := fill(ctx, conn, s.kind, bytes*s.percent/100); err != nil {
			return fmt.Errorf("fill %s with %s: %w", target.Database, s.kind, err)
		}
	}
	return nil
}

// participant adds text to a table of its own; of the other kinds, nine tenths are events and one tenth contracts.
func (w *writer) participant(ctx context.Context, conn *pgx.Conn, k kind, bytes int64) error {
	if k == kindText {
		if _, err := conn.Exec(ctx, viewsTable); err != nil {
			return err
		}
		return add(ctx, conn, pgx.Identifier{"participant", "testbed_views"}, []string{"contract_id", "template_id", "party", "document"}, bytes, func() []any {
			return []any{"00" + fmt.Sprintf("%x", w.bytes(33)), w.one(w.templates), w.one(w.parties), w.document()}
		})
	}
	// New events go before the oldest one: the live ones use the present time and never meet them.
	var oldest int64
	if err := conn.QueryRow(ctx, "SELECT coalesce(min(ts), 1000000000000000) FROM participant.common_sequenced_events").Scan(&oldest); err != nil {
		return err
	}
	err := add(ctx, conn, pgx.Identifier{"participant", "common_sequenced_events"},
		[]string{"synchronizer_idx", "sequenced_event", "type", "ts", "sequencer_counter", "trace_context", "ignore"}, bytes*9/10, func() []any {
			oldest--
			return []any{int32(1), w.blob(k, eventBytes), "del", oldest, int64(0), w.bytes(24), false}
		})
	if err != nil {
		return err
	}
	return add(ctx, conn, pgx.Identifier{"participant", "par_contracts"}, []string{"contract_id", "instance", "package_id", "template_id"}, bytes/10, func() []any {
		return []any{w.bytes(34), w.blob(k, contractBytes), w.one(w.packages), w.one(w.templates)}
	})
}

// validator adds contracts of a store.
func (w *writer) validator(ctx context.Context, conn *pgx.Conn, k kind, bytes int64) error {
	return add(ctx, conn, pgx.Identifier{"validator", "validator_acs_store"},
		[]string{"store_id", "migration_id", "contract_id", "template_id_qualified_name", "create_arguments", "created_event_blob", "created_at"}, bytes, func() []any {
			arguments := `{"amount": 1}`
			if k == kindText {
				arguments = w.document()
			}
			return []any{int32(1), int64(0), "00" + fmt.Sprintf("%x", w.bytes(33)), w.one(w.templates), arguments, w.blob(k, blobBytes), int64(0)}
		})
}

// add copies rows until they make so many bytes of a dump.
func add(ctx context.Context, conn *pgx.Conn, table pgx.Identifier, columns []string, bytes int64, row func() []any) error {
	var size int64
	_, err := conn.CopyFrom(ctx, table, columns, pgx.CopyFromFunc(func() ([]any, error) {
		if size >= bytes {
			return nil, nil
		}
		values := row()
		size += copied(values)
		return values, nil
	}))
	return err
}
