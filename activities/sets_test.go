package activities

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
	"canton-backup/internal/store/dir"
)

// sealer runs the Seal activity on a host of its own.
type sealer struct {
	t    *testing.T
	env  *testsuite.TestActivityEnvironment
	host *Host
}

func newSealer(t *testing.T) *sealer {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	file := filepath.Join(home, "toolkit.conf")
	require.NoError(t, os.WriteFile(file, []byte("BACKUP_TYPE=skip\nNODE_NAME=n\nNETWORK=testnet\n"), 0o600))
	var suite testsuite.WorkflowTestSuite
	s := &sealer{t: t, env: suite.NewTestActivityEnvironment(), host: &Host{SettingsFile: file, Now: time.Now, Program: "test"}}
	s.host.Local = func(c config.Settings) (LocalStore, error) {
		return dir.New(dir.Config{Path: c.BackupDir, Owner: c.Node.Name})
	}
	s.env.RegisterActivity(&Sets{s.host})
	return s
}

// staged writes a pair of dumps of that participant to the staging folder.
func (s *sealer) staged(at time.Time, participant string) SealInput {
	s.t.Helper()
	settings, err := s.host.settings()
	require.NoError(s.t, err)
	in := SealInput{Set: backupset.NewID(at), Plan: Plan{Node: "n", Network: "testnet"}}
	require.NoError(s.t, os.MkdirAll(stagingOf(settings, in.Set), 0o700))
	offset := int64(7)
	for place, c := range map[*Dump]backupset.Component{
		&in.Validator: {Role: backupset.Validator, Database: "validator", StartLSN: "0/1", EndLSN: "0/2",
			ValidatorEvidence: &backupset.ValidatorEvidence{Stores: 1, MaxOffset: &offset, Participants: []string{participant}}},
		&in.Participant: {Role: backupset.Participant, Database: "participant", StartLSN: "0/3", EndLSN: "0/4",
			ParticipantEvidence: &backupset.ParticipantEvidence{Rows: 1, LedgerEnd: &offset, NodeIDs: []string{participant}}},
	} {
		content := []byte("dump of " + c.Database)
		c.SystemID, c.Codec, c.File = "1", backupset.Gzip, backupset.DumpName(c.Database, in.Set, backupset.Gzip, backupset.Unencrypted)
		c.Size, c.SHA256 = int64(len(content)), sum(string(content))
		*place = Dump{Component: c, Staged: c.File + ".1"}
		require.NoError(s.t, os.WriteFile(filepath.Join(stagingOf(settings, in.Set), place.Staged), content, 0o600))
	}
	return in
}

func sum(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

func (s *sealer) seal(in SealInput) (Sealed, error) {
	s.t.Helper()
	var sets *Sets
	value, err := s.env.ExecuteActivity(sets.Seal, in)
	if err != nil {
		return Sealed{}, err
	}
	var sealed Sealed
	require.NoError(s.t, value.Get(&sealed))
	return sealed, nil
}

// A node that was onboarded anew keeps the sets of the participant it was, and says so once.
func TestSeal_AnotherParticipantWarns(t *testing.T) {
	s := newSealer(t)
	at := time.Now().Add(-time.Hour)
	for i, want := range []struct{ participant, warning string }{
		{"PAR::a::1220", ""}, {"PAR::a::1220", ""}, {"PAR::b::1220", "now PAR::b::1220"}, {"PAR::b::1220", ""},
	} {
		sealed, err := s.seal(s.staged(at.Add(time.Duration(i)*time.Minute), want.participant))
		require.NoError(t, err)
		require.Equal(t, backupset.Pass, sealed.Verdict)
		if want.warning == "" {
			require.Empty(t, sealed.Changed)
		}
		require.Contains(t, sealed.Changed, want.warning)
	}
}

// A dump that somebody deleted from the staging folder is damage, not a set that was not found (exit 10).
func TestSeal_StagedFileGone(t *testing.T) {
	s := newSealer(t)
	in := s.staged(time.Now(), "PAR::a::1220")
	settings, err := s.host.settings()
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(stagingOf(settings, in.Set), in.Participant.Staged)))
	_, err = s.seal(in)
	var failure *temporal.ApplicationError
	require.True(t, errors.As(err, &failure))
	require.Equal(t, BackupCorrupt, failure.Type())
	require.True(t, failure.NonRetryable())
}
