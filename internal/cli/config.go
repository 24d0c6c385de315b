package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"canton-backup/internal/app"
	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
)

func newConfig(c *command) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check, show or begin the settings"}
	cmd.AddCommand(
		newConfigCheck(c),
		&cobra.Command{Use: "show", Short: "Show the settings in force, secrets redacted", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			s, err := c.settings()
			if err != nil {
				return err
			}
			return c.print(s, func(w io.Writer) error { return printSettings(w, s) })
		}},
		&cobra.Command{Use: "init", Short: "Write a settings file to begin with", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			return c.initSettings()
		}},
	)
	return cmd
}

func printSettings(w io.Writer, s config.Settings) error {
	p := &printer{w: w}
	p.linef("file            %s", s.File)
	p.linef("node            %s (%s)", s.Node.Name, s.Node.Network)
	if len(s.Targets) == 0 {
		p.linef("targets         none, sets stay on this host")
	}
	for _, kind := range s.Targets {
		switch kind {
		case config.Rsync:
			p.linef("target rsync    %s:%s, port %d, key %s", s.Rsync.Host, s.Rsync.Path, s.Rsync.Port, s.Rsync.KeyFile)
		case config.R2:
			p.linef("target r2       bucket %s at %s, key %s / %s", s.R2.Bucket, s.R2.Endpoint, s.R2.AccessKey, s.R2.SecretKey)
		case config.S3:
			keys := "keys by AWS's own ways"
			if !s.S3.AccessKey.Empty() {
				keys = fmt.Sprintf("key %s / %s", s.S3.AccessKey, s.S3.SecretKey)
			}
			p.linef("target s3       bucket %s, folder %s at %s, %s", s.S3.Bucket, s.S3.Prefix, cmp.Or(s.S3.Endpoint, "AWS "+s.S3.Region), keys)
		case config.Dir:
			p.linef("target dir      %s", s.Dir.Path)
		}
	}
	if s.Upload.Limit > 0 {
		p.linef("upload limit    %s a second for each target", humanize.IBytes(uint64(s.Upload.Limit)))
	}
	p.linef("local sets      %s", s.BackupDir)
	p.linef("retention       %d days, the last %d verified sets always", s.Retention.Days, s.Retention.KeepLast)
	p.linef("compression     %s", s.Codec)
	switch e := s.Encryption; e.Method {
	case backupset.Age:
		p.linef("encryption      age, to %s", strings.Join(e.AgeRecipients, ", "))
	case backupset.GPG:
		p.linef("encryption      gpg, to %s", strings.Join(e.GPGPublicKeys, ", "))
	default:
		p.linef("encryption      none: the sets hold the node's private keys in plain text")
	}
	p.linef("schedule        every %s", s.Every)
	if s.Drill > 0 {
		p.linef("drills          every %s", s.Drill)
	} else {
		p.linef("drills          off: nothing proves that a set restores")
	}
	p.linef("telegram        chat %s, token %s", s.Telegram.ChatID, s.Telegram.Token)
	for _, channel := range app.Channels(s) {
		if channel.Name != "telegram" {
			p.linef("alerts          %s", channel.Name)
		}
	}
	p.linef("alerts again    every %s while a cause lasts%s", s.Alerts.Repeat, map[bool]string{true: ", and when it is over"}[s.Alerts.Recovery])
	if !s.Alerts.Ping.Empty() {
		p.linef("dead-man ping   %s", s.Alerts.Ping)
	}
	p.linef("temporal        %s, port %d, web UI port %d", s.Temporal.Dir, s.Temporal.Port, s.Temporal.UIPort)
	return p.err
}

func (c *command) initSettings() error {
	if err := os.MkdirAll(filepath.Dir(c.file), 0o700); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	f, err := os.OpenFile(c.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return &exitError{ExitUsage, fmt.Errorf("write settings: %s exists and is left as it is; see canton-backup config check", c.file)}
	}
	if err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	_, err = io.WriteString(f, config.Template())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	fmt.Fprintf(c.talk(), "Wrote %s. Fill it in, encryption too (docs/how-to/encryption.md), then: canton-backup config check && canton-backup doctor\n", c.file)
	return nil
}
