package testbed

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SQL runs statements as the superuser inside the postgres container and returns psql's unaligned output, without headers: columns
// divided by |, rows by newlines. The first failing statement ends it with an error.
func (n *Node) SQL(ctx context.Context, db, sql string) (string, error) {
	return docker(ctx, "exec", n.Container(Postgres), "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", User, "-d", db, "-c", sql)
}

// Offsets reads how far the node is. The validator's is read first: whatever goes on between the two reads, a node in order shows
// ingested <= ledgerEnd. Both are zero on a node that has written nothing.
func (n *Node) Offsets(ctx context.Context) (ledgerEnd, ingested int64, err error) {
	if ingested, err = n.number(ctx, ValidatorDB, `SELECT coalesce(max(('x' || right(last_ingested_offset, 16))::bit(64)::bigint), 0)
		FROM validator.store_last_ingested_offsets WHERE last_ingested_offset <> ''
		AND migration_id = (SELECT max(migration_id) FROM validator.store_last_ingested_offsets)`); err != nil {
		return 0, 0, fmt.Errorf("read ingested offset: %w", err)
	}
	if ledgerEnd, err = n.number(ctx, n.ParticipantDB(), "SELECT coalesce(max(ledger_end), 0) FROM participant.lapi_parameters"); err != nil {
		return 0, 0, fmt.Errorf("read ledger end: %w", err)
	}
	return ledgerEnd, ingested, nil
}

// ParticipantID is the node's identity as the participant's database has it: PAR::identifier::namespace.
func (n *Node) ParticipantID(ctx context.Context) (string, error) {
	return n.SQL(ctx, n.ParticipantDB(), "SELECT 'PAR::' || identifier || '::' || namespace FROM participant.common_node_id")
}

func (n *Node) number(ctx context.Context, db, sql string) (int64, error) {
	out, err := n.SQL(ctx, db, sql)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(out, 10, 64)
}

func (n *Node) awaitWriting(ctx context.Context) error {
	if n.Quiet {
		return nil
	}
	return await(ctx, 30*time.Second, "the node to write", func() (bool, error) {
		_, ingested, err := n.Offsets(ctx)
		return ingested > 0, err
	})
}

// Fill adds MB (10^6 bytes) of incompressible table data to the participant's database, and a fiftieth of it to the validator app's. As
// SQL text it is about twice as much. Both programs must run.
func (n *Node) Fill(ctx context.Context, mb int) error {
	for service, mb := range map[Service]int{Participant: mb, Validator: max(1, mb/50)} {
		if _, err := docker(ctx, "exec", n.Container(service), "/node", "fill", "-mb", strconv.Itoa(mb)); err != nil {
			return fmt.Errorf("fill %s: %w", service, err)
		}
	}
	return nil
}

// Kind is what data looks like to a compressor.
type Kind string

// The kinds of data.
const (
	Text   Kind = "text"   // JSON and names that repeat
	Hex    Kind = "hex"    // bytea of structured messages, about half of them hashes and signatures
	Random Kind = "random" // bytea that does not compress
	Mixed  Kind = "mixed"  // a tenth, four tenths, half: what a participant holds
)

// FillKind adds MB (10^6 bytes) of SQL text of a kind to the participant's database, and a fiftieth of it to the validator app's. The same
// seed adds the same data; a node that grows wants another seed each time. Both programs must run.
func (n *Node) FillKind(ctx context.Context, kind Kind, mb int, seed uint16) error {
	for service, mb := range map[Service]int{Participant: mb, Validator: max(1, mb/50)} {
		if _, err := docker(ctx, "exec", n.Container(service), "/node", "fill", "-kind", string(kind), "-text", strconv.Itoa(mb), "-seed", strconv.Itoa(int(seed))); err != nil {
			return fmt.Errorf("fill %s: %w", service, err)
		}
	}
	return nil
}

// Empty removes what fills added, and no more.
func (n *Node) Empty(ctx context.Context) error {
	if _, err := n.SQL(ctx, n.ParticipantDB(), "TRUNCATE participant.common_sequenced_events, participant.par_contracts; DROP TABLE IF EXISTS participant.testbed_views"); err != nil {
		return fmt.Errorf("empty participant: %w", err)
	}
	if _, err := n.SQL(ctx, ValidatorDB, "TRUNCATE validator.validator_acs_store"); err != nil {
		return fmt.Errorf("empty validator: %w", err)
	}
	return nil
}

// HTTP is the address of nginx on this host. The validator's API answers to the Host header wallet.localhost alone.
func (n *Node) HTTP(ctx context.Context) (string, error) {
	out, err := docker(ctx, "port", n.Container(Nginx), "80/tcp")
	if err != nil {
		return "", err
	}
	address, _, _ := strings.Cut(out, "\n")
	return "http://" + address, nil
}
