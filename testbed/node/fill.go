package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/jackc/pgx/v5"
)

// Sizes of one row of fill, in bytes. A participant's events are some KB each and do not compress.
const (
	eventBytes    = 4 << 10
	contractBytes = 2 << 10
	blobBytes     = 1 << 10
)

// runFill adds megabytes of data to the database of the container it runs in: nine tenths sequenced events and one tenth contracts
// for a participant, contracts of a store for a validator app. The same seed gives the same bytes. -kind and -text fill by the look of the
// data and its size as SQL text instead.
func runFill(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fill", flag.ContinueOnError)
	mb := flags.Int("mb", 100, "MB (10^6 bytes) of table data to add; as SQL text it is twice as much")
	seed := flags.Uint64("seed", 1, "seed of the bytes")
	word := flags.String("kind", "", "text, hex, random, or mixed for some of each; takes -text instead of -mb")
	text := flags.Int("text", 100, "with -kind: MB (10^6 bytes) of SQL text to add")
	if err := flags.Parse(args); err != nil {
		return err
	}
	bytes := int64(*mb) * 1_000_000
	var key [32]byte
	key[0], key[1] = byte(*seed), byte(*seed>>8)
	source := rand.NewChaCha8(key)
	if *word != "" {
		shares, err := sharesOf(*word)
		if err != nil {
			return err
		}
		return fillKinds(ctx, newWriter(source), shares, int64(*text)*1_000_000)
	}
	if os.Getenv("CANTON_PARTICIPANT_POSTGRES_DB") != "" {
		return fillParticipant(ctx, source, bytes)
	}
	return fillValidator(ctx, source, bytes)
}

func fillParticipant(ctx context.Context, source *rand.ChaCha8, bytes int64) error {
	conn, err := participantTarget().connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// New events go before the oldest one: the live ones use the present time and never meet them.
	var oldest int64
	if err := conn.QueryRow(ctx, "SELECT coalesce(min(ts), 1000000000000000) FROM participant.common_sequenced_events").Scan(&oldest); err != nil {
		return fmt.Errorf("fill participant: %w", err)
	}
	events := int(bytes * 9 / 10 / eventBytes)
	event := make([]byte, eventBytes)
	trace := make([]byte, 24)
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"participant", "common_sequenced_events"},
		[]string{"synchronizer_idx", "sequenced_event", "type", "ts", "sequencer_counter", "trace_context"},
		pgx.CopyFromSlice(events, func(i int) ([]any, error) {
			_, _ = source.Read(event)
			return []any{int32(1), event, "del", oldest - int64(events-i), int64(0), trace}, nil
		}))
	if err != nil {
		return fmt.Errorf("fill participant: %w", err)
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"participant", "par_contracts"}, []string{"contract_id", "instance", "package_id", "template_id"},
		pgx.CopyFromSlice(int(bytes/10/contractBytes), func(int) ([]any, error) {
			instance := event[:contractBytes]
			_, _ = source.Read(instance)
			// The id is not of the seed: a second fill with the same seed must not meet the first.
			return []any{randomBytes(34), instance, "splice-amulet", "Splice.Amulet:Amulet"}, nil
		}))
	if err != nil {
		return fmt.Errorf("fill participant: %w", err)
	}
	return nil
}

func fillValidator(ctx context.Context, source *rand.ChaCha8, bytes int64) error {
	t, err := validatorTarget(os.Getenv("ADDITIONAL_CONFIG_PERSISTENCE"))
	if err != nil {
		return err
	}
	conn, err := t.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	blob := make([]byte, blobBytes)
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"validator", "validator_acs_store"},
		[]string{"store_id", "migration_id", "contract_id", "template_id_qualified_name", "create_arguments", "created_event_blob", "created_at"},
		pgx.CopyFromSlice(int(bytes/blobBytes), func(int) ([]any, error) {
			_, _ = source.Read(blob)
			return []any{int32(1), int64(0), fingerprint(), "Splice.Amulet:Amulet", `{"amount": 1}`, blob, int64(0)}, nil
		}))
	if err != nil {
		return fmt.Errorf("fill validator: %w", err)
	}
	return nil
}

// connect opens one session without the lock: fill runs beside the program that holds it.
func (t target) connect(ctx context.Context) (*pgx.Conn, error) {
	if t.Database == "" {
		return nil, errors.New("connect: no database is configured")
	}
	conn, err := pgx.Connect(ctx, t.dsn("testbed-fill"))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.Database, err)
	}
	return conn, nil
}
