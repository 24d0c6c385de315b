package postgres

import (
	"context"

	"canton-backup/internal/backupset"
)

// Session is one transaction, repeatable read and read only, whose snapshot all its queries and its dump share. Dump may run while
// nothing else does.
type Session struct {
	*Console
	snapshot string
	start    backupset.LSN
}

// begin opens the transaction and exports its snapshot; from here on the session sees one moment of the database.
func (s *Session) begin(ctx context.Context) error {
	start, err := s.Position(ctx)
	if err != nil {
		return err
	}
	s.start = start
	if err := s.send(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"); err != nil {
		return err
	}
	snapshot, err := s.Query(ctx, "SELECT pg_export_snapshot()")
	if err != nil {
		return err
	}
	s.snapshot = snapshot
	return nil
}

// Start is the server's WAL position just before the snapshot was taken: what the snapshot sees is no older. A position read
// later would prove nothing about its beginning.
func (s *Session) Start() backupset.LSN { return s.start }
