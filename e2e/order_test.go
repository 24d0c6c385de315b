package e2e_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"canton-backup/activities"
	"canton-backup/internal/config"
	"canton-backup/internal/docker"
	"canton-backup/internal/notify"
	"canton-backup/internal/store"
	"canton-backup/internal/store/dir"
	"canton-backup/workflows"
)

// The real workflow with the real activities on a real node, except that beneath it the participant is dumped first and the validator
// after it. Both dumps are whole and restorable; the proof must refuse the pair before anything is uploaded. In the right order, as
// the control, the same run reaches the upload.
func TestBackup_WrongOrderFailsAtTheProof(t *testing.T) {
	for name, reversed := range map[string]bool{"reversed": true, "right": false} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, sharedNode)
			h.target("r2")
			h.set("R2_BUCKET", "unused", "R2_ENDPOINT", "http://127.0.0.1:1", "R2_ACCESS_KEY", "x", "R2_SECRET_KEY", "x")
			t.Setenv("HOME", h.home)
			engine, err := docker.Connect()
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, engine.Close()) })
			open := func(path string) (*dir.Store, error) {
				return dir.New(dir.Config{Path: path, Owner: h.settings["NODE_NAME"]})
			}
			remote := t.TempDir()
			host := &activities.Host{
				SettingsFile: filepath.Join(h.home, ".canton", "toolkit.conf"), Docker: engine, Program: "test", Now: time.Now,
				Local:    func(s config.Settings) (activities.LocalStore, error) { return open(s.BackupDir) },
				Remote:   func(config.Settings, config.Kind) (store.Store, error) { return open(remote) },
				Channels: func(config.Settings) []notify.Channel { return nil },
			}
			var suite testsuite.WorkflowTestSuite
			suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
			env := suite.NewTestWorkflowEnvironment()
			env.SetTestTimeout(2 * time.Minute)
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "order", TaskQueue: workflows.Queue(h.settings["NODE_NAME"])})
			workflows.Register(env)
			activities.Register(env, host)
			var participantFirst activities.Dump
			var uploads atomic.Int32
			var dumps *activities.Dumps
			var sets *activities.Sets
			if reversed {
				env.OnActivity(dumps.DumpValidator, mock.Anything, mock.Anything).Return(func(ctx context.Context, in activities.DumpInput) (activities.Dump, error) {
					var err error
					participantFirst, err = (&activities.Dumps{Host: host}).DumpParticipant(ctx, activities.DumpParticipantInput{DumpInput: in})
					if err != nil {
						return activities.Dump{}, err
					}
					return (&activities.Dumps{Host: host}).DumpValidator(ctx, in)
				})
				env.OnActivity(dumps.DumpParticipant, mock.Anything, mock.Anything).Return(func(context.Context, activities.DumpParticipantInput) (activities.Dump, error) {
					return participantFirst, nil
				})
			}
			env.OnActivity(sets.Upload, mock.Anything, mock.Anything).Return(func(ctx context.Context, in activities.UploadInput) (activities.Uploaded, error) {
				uploads.Add(1)
				return (&activities.Sets{Host: host}).Upload(ctx, in)
			})
			env.ExecuteWorkflow(workflows.Backup, workflows.BackupInput{})
			require.True(t, env.IsWorkflowCompleted())
			err = env.GetWorkflowError()
			if !reversed {
				require.NoError(t, err)
				require.EqualValues(t, 1, uploads.Load())
				return
			}
			var failure *temporal.ApplicationError
			require.ErrorAs(t, err, &failure)
			require.Equal(t, activities.PairBroken, failure.Type())
			require.Contains(t, failure.Message(), "order: validator dump ended at WAL")
			require.Zero(t, uploads.Load())
			left, err := os.ReadDir(remote)
			require.NoError(t, err)
			require.Empty(t, left)
			require.Empty(t, names(t, h.backupDir()))
			h.tidy()
		})
	}
}
