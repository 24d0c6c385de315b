package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"canton-backup/activities"
	"canton-backup/internal/app"
	"canton-backup/internal/config"
	"canton-backup/internal/keyring"
	"canton-backup/workflows"
)

func newBackup(c *command) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "backup", Short: "Make a backup set now and follow the run", Args: cobra.NoArgs,
		Long: `Make a backup set now and follow the run. Prints the set's id.

With a worker running, Ctrl-C detaches and the backup goes on; a second Ctrl-C cancels it. With none running the backup takes
place in this process, and Ctrl-C cancels it.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runBackup(cmd.Context(), reason) },
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the manifest: pre-upgrade, key-rotation, ...")
	return cmd
}

func (c *command) runBackup(ctx context.Context, reason string) error {
	settings, err := c.settings()
	if err != nil {
		return err
	}
	var result workflows.BackupResult
	err = c.run(ctx, settings, workflows.Backup, "manual", workflows.BackupInput{Reason: reason}, &result)
	if err != nil {
		return err
	}
	if err := c.print(result, func(w io.Writer) error { _, err := fmt.Fprintln(w, result.Set); return err }); err != nil {
		return err
	}
	if result.Outcome == workflows.Incomplete {
		return &exitError{ExitIncomplete, errors.New("the set is good, but not every target has it")}
	}
	return nil
}

// run starts a workflow, follows it to its end and decodes its result.
func (c *command) run(ctx context.Context, s config.Settings, workflow any, kind string, input, result any) (err error) {
	interrupts := make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)

	conn, err := c.connect(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.close()) }()
	if c.loan != nil {
		token, err := keyring.Lend(ctx, app.KeyringPath(s), *c.loan)
		if err != nil {
			return err
		}
		// A run that goes on without us holds the key that it began with.
		defer func() {
			err = errors.Join(err, keyring.TakeBack(context.WithoutCancel(ctx), app.KeyringPath(s), token))
		}()
	}
	for {
		err := c.runOnce(ctx, conn, s, workflow, kind, input, result, interrupts)
		var failure *temporal.ApplicationError
		if conn.own == nil || !errors.As(err, &failure) || failure.Type() != activities.NodeBusy {
			return err
		}
		// The schedule's catch-up, which this process serves too, was faster. It ends first, then it is our turn.
	}
}

// runOnce starts the workflow and follows it. Where this process is the only worker, what else holds the node ends before and after: to
// leave would interrupt it.
func (c *command) runOnce(ctx context.Context, conn *connection, s config.Settings, workflow any, kind string, input, result any, interrupts <-chan os.Signal) (err error) {
	if conn.own != nil {
		if err := c.awaitInterrupted(ctx, conn, s, interrupts); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.awaitInterrupted(ctx, conn, s, interrupts)) }()
	}
	id := fmt.Sprintf("%s-%s-%s", workflows.ScheduleID(s.Node.Name), kind, time.Now().UTC().Format("20060102T150405.000Z"))
	run, err := conn.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.Queue(s.Node.Name), WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
	}, workflow, input)
	if err != nil {
		return fmt.Errorf("start run: %w", err)
	}
	f := &follower{conn: conn, node: s.Node.Name, run: run, out: c.talk(), terminal: c.Terminal && !c.json}
	return f.follow(ctx, interrupts, result)
}

// awaitInterrupted lets a run that an earlier process left behind go on to its end first: it holds the node's lock, and as its
// only worker we would interrupt it again.
func (c *command) awaitInterrupted(ctx context.Context, conn *connection, s config.Settings, interrupts <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	described, err := conn.DescribeWorkflowExecution(ctx, workflows.LockID(s.Node.Name), "")
	if err != nil || described.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return nil // there is none; should Temporal be out of reach, the start below says so
	}
	fmt.Fprintln(c.talk(), "Another run of this node goes on in this process, it ends first ...")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = conn.GetWorkflow(ctx, workflows.LockID(s.Node.Name), "").Get(ctx, nil) // how it ends is its own affair
	}()
	select {
	case <-ended:
		return nil
	case <-interrupts:
		return context.Canceled
	}
}
