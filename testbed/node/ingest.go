package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

// oldOffset is what the stores of an earlier migration id ended with: far beyond anything the present ledger will reach. A check
// that does not keep to the newest migration id falls for it.
const oldOffset = 9_000_000_000_000

// offsetText writes an offset as the stores do: a zero byte and eight bytes big-endian, in hex.
func offsetText(offset int64) string {
	var b [9]byte
	binary.BigEndian.PutUint64(b[1:], uint64(offset))
	return hex.EncodeToString(b[:])
}

// newestOffset is the SQL for the greatest ingested offset of the newest migration id.
const newestOffset = `SELECT coalesce(max(('x' || right(last_ingested_offset, 16))::bit(64)::bigint), 0)
	FROM validator.store_last_ingested_offsets
	WHERE last_ingested_offset <> '' AND migration_id = (SELECT max(migration_id) FROM validator.store_last_ingested_offsets)`

// createStores writes the descriptors and the offsets of this and, if there was one, the migration before.
func (v *validator) createStores(ctx context.Context, tx pgx.Tx) error {
	party := os.Getenv("SPLICE_APP_VALIDATOR_PARTY_HINT") + "::" + v.identity.Namespace
	for _, name := range storeNames {
		descriptor, err := json.Marshal(map[string]any{
			"version": 2, "name": name, "party": party, "participant": v.identity.String(), "key": map[string]string{"validatorParty": party},
		})
		if err != nil {
			return err
		}
		var store int
		if err := tx.QueryRow(ctx, "INSERT INTO validator.store_descriptors (descriptor) VALUES ($1) RETURNING id", string(descriptor)).Scan(&store); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO validator.store_last_ingested_offsets VALUES ($1, $2, '')", store, v.migrationID); err != nil {
			return err
		}
		if v.migrationID > 0 {
			if _, err := tx.Exec(ctx, "INSERT INTO validator.store_last_ingested_offsets VALUES ($1, $2, $3)", store, v.migrationID-1, offsetText(oldOffset)); err != nil {
				return err
			}
		}
	}
	var history int
	if err := tx.QueryRow(ctx, "INSERT INTO validator.update_history_descriptors (party, participant_id, store_name) VALUES ($1, $2, 'validator') RETURNING id",
		party, v.identity.String()).Scan(&history); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "INSERT INTO validator.update_history_last_ingested_offsets VALUES ($1, $2, '')", history, v.migrationID)
	return err
}

// checkOffsets looks at the pair before the first write. The real node does not, and a reversed pair comes up green; STRICT=1 is
// for tests that want to see it refused. A migration id below the recorded one is refused by both.
func (v *validator) checkOffsets(ctx context.Context) error {
	var newest, ingested int64
	if err := v.db.QueryRow(ctx, "SELECT coalesce(max(migration_id), 0) FROM validator.store_last_ingested_offsets").Scan(&newest); err != nil {
		return err
	}
	if newest != v.migrationID {
		return fmt.Errorf("check offsets: the stores are at migration id %d, the configured one is %d", newest, v.migrationID)
	}
	if err := v.db.QueryRow(ctx, newestOffset).Scan(&ingested); err != nil {
		return err
	}
	v.lastIngested.Store(ingested)
	v.lastSuccess.Store(time.Now().UnixMilli())
	if os.Getenv("STRICT") != "1" {
		return nil
	}
	end, err := v.ledgerEnd(ctx)
	if err != nil {
		return err
	}
	if ingested > end {
		return fmt.Errorf("check offsets: ingested up to %d, beyond the participant's ledger end %d", ingested, end)
	}
	return nil
}

func (v *validator) ledgerEnd(ctx context.Context) (int64, error) {
	var end struct {
		Offset int64 `json:"offset"`
	}
	err := v.get(ctx, ":7575/v2/state/ledger-end", &end)
	return end.Offset, err
}

// ingest follows the ledger: it asks the participant for its end, then writes rows and offsets in one transaction of its own, so
// that the validator's database never speaks of what the participant's does not hold.
func (v *validator) ingest(ctx context.Context) error {
	end, err := v.ledgerEnd(ctx)
	if err != nil {
		return err
	}
	if last := v.lastIngested.Load(); v.writing && end > last {
		if err := v.write(ctx, end, last); err != nil {
			return err
		}
		v.lastIngested.Store(end)
	}
	v.lastSuccess.Store(time.Now().UnixMilli())
	return nil
}

func (v *validator) write(ctx context.Context, end, last int64) error {
	return pgx.BeginFunc(ctx, v.db, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		contract := hex.EncodeToString(randomBytes(34))
		batch.Queue(`INSERT INTO validator.validator_acs_store (store_id, migration_id, contract_id, template_id_qualified_name, create_arguments, created_event_blob, created_at)
			VALUES (1, $1, $2, 'Splice.Amulet:Amulet', '{"amount": 1}', $3, $4)`, v.migrationID, contract, randomBytes(200), time.Now().UnixMicro())
		batch.Queue(`INSERT INTO validator.user_wallet_txlog_store (store_id, migration_id, transaction_offset, entry_type, event_id, entry_data)
			VALUES (2, $1, $2, 'tra', $3, '{"sender": "payer"}')`, v.migrationID, offsetText(end), contract)
		batch.Queue("UPDATE validator.store_last_ingested_offsets SET last_ingested_offset = $1 WHERE migration_id = $2 AND store_id <> 2", offsetText(end), v.migrationID)
		batch.Queue("UPDATE validator.store_last_ingested_offsets SET last_ingested_offset = $1 WHERE migration_id = $2 AND store_id = 2", offsetText(last), v.migrationID)
		batch.Queue("UPDATE validator.update_history_last_ingested_offsets SET last_ingested_offset = $1 WHERE migration_id = $2", offsetText(end), v.migrationID)
		return tx.SendBatch(ctx, batch).Close()
	})
}
