package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"canton-backup/internal/app"
	"canton-backup/internal/notify"
)

func newNotify(c *command) *cobra.Command {
	cmd := &cobra.Command{Use: "notify", Short: "Try the ways on which alerts go out"}
	cmd.AddCommand(&cobra.Command{
		Use: "test", Short: "Send a test message to every channel", Args: cobra.NoArgs,
		Long: `Send a test message to every channel of the settings, and say which got it. Nothing is remembered of it, and an incident that it
opens is closed at once. Exit code 1 when a channel failed, 2 when there is none.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.testChannels(cmd.Context()) },
	})
	return cmd
}

// tried is one line of `notify test`; with --json this is the contract.
type tried struct {
	Channel string `json:"channel"`
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
}

func (c *command) testChannels(ctx context.Context) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	channels := app.Channels(s)
	if len(channels) == 0 {
		return &exitError{ExitUsage, errors.New("no alert channel: set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or another of docs/how-to/alerts.md")}
	}
	alert := notify.Alert{What: "Test", Key: "Test/notify/test", Node: s.Node.Name, Network: s.Node.Network, Test: true,
		Cause: "This is what an alert of canton-backup looks like here: a < b & \"c\".", Next: "nothing; it was sent by: canton-backup notify test"}
	results := make([]tried, len(channels))
	var group sync.WaitGroup
	for i, channel := range channels {
		group.Go(func() {
			results[i] = tried{Channel: channel.Name, OK: true}
			if err := channel.Notify(ctx, alert); err != nil {
				results[i] = tried{Channel: channel.Name, Error: err.Error()}
			}
		})
	}
	group.Wait()
	bad := 0
	err = c.print(results, func(w io.Writer) error {
		p := &printer{w: w}
		for _, r := range results {
			if r.OK {
				p.linef("%s: %s", r.Channel, ok)
			} else {
				p.linef("%s: %s%s", r.Channel, failed, dash(r.Error))
			}
		}
		return p.err
	})
	for _, r := range results {
		if !r.OK {
			bad++
		}
	}
	if bad > 0 {
		return errors.Join(&exitError{ExitFailed, fmt.Errorf("%d of %d channels failed", bad, len(results))}, err)
	}
	return err
}
