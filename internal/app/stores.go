package app

import (
	"fmt"
	"time"

	"canton-backup/activities"
	"canton-backup/internal/config"
	"canton-backup/internal/docker"
	"canton-backup/internal/notify"
	"canton-backup/internal/store"
	"canton-backup/internal/store/dir"
	"canton-backup/internal/store/rsync"
	"canton-backup/internal/store/s3"
)

// Planner is what plans a restore on this host, for whoever only wants to see the plan. Close ends it.
func Planner(settingsFile string) (host *activities.Host, closer func() error, err error) {
	engine, err := docker.Connect()
	if err != nil {
		return nil, nil, err
	}
	return newHost(settingsFile, Program(), engine), engine.Close, nil
}

// newHost gives the activities what they work with.
func newHost(settingsFile, program string, engine *docker.Client) *activities.Host {
	return &activities.Host{
		SettingsFile: settingsFile,
		Docker:       engine,
		Local:        func(s config.Settings) (activities.LocalStore, error) { return LocalStore(s) },
		Remote:       RemoteStore,
		Channels:     Channels,
		Program:      program,
		Now:          time.Now,
	}
}

// Channels are the ways to the operator that the settings name. This is the one list of them.
func Channels(s config.Settings) []notify.Channel {
	var all []notify.Channel
	if t := s.Telegram; !t.Token.Empty() && t.ChatID != "" {
		all = append(all, notify.Channel{Name: "telegram", Notifier: notify.Telegram{API: t.API, Token: t.Token, ChatID: t.ChatID}})
	}
	if !s.Alerts.Slack.Empty() {
		all = append(all, notify.Channel{Name: "slack", Notifier: notify.Slack{URL: s.Alerts.Slack}})
	}
	if !s.Alerts.Discord.Empty() {
		all = append(all, notify.Channel{Name: "discord", Notifier: notify.Discord{URL: s.Alerts.Discord}})
	}
	if !s.Alerts.PagerDuty.Empty() {
		all = append(all, notify.Channel{Name: "pagerduty", Closes: true, Notifier: notify.PagerDuty{API: "https://events.pagerduty.com", Key: s.Alerts.PagerDuty}})
	}
	for _, u := range s.Alerts.URLs {
		all = append(all, notify.ByURL(u))
	}
	return notify.Distinct(all)
}

// LocalStore opens the store on this host.
func LocalStore(s config.Settings) (*dir.Store, error) {
	return dir.New(dir.Config{Path: s.BackupDir, Owner: s.Node.Name})
}

// RemoteStore opens a target. This is the one list of kinds.
func RemoteStore(s config.Settings, kind config.Kind) (store.Store, error) {
	owner := s.Node.Name
	switch kind {
	case config.Rsync:
		return rsync.New(rsync.Config{Host: s.Rsync.Host, Path: s.Rsync.Path, Port: s.Rsync.Port, KeyFile: s.Rsync.KeyFile, KnownHostsFile: s.Rsync.KnownHosts, Limit: s.Upload.Limit, Owner: owner})
	case config.R2:
		return s3.New(s3.Config{
			Kind: string(kind), Endpoint: s.R2.Endpoint, Region: "auto", Bucket: s.R2.Bucket, PathStyle: true,
			// One bucket may serve several nodes: each has a folder of its own.
			Prefix:    s.Node.Network + "/" + s.Node.Name,
			AccessKey: s.R2.AccessKey.Reveal(), SecretKey: s.R2.SecretKey, Limit: s.Upload.Limit, Owner: owner,
		})
	case config.S3:
		return s3.New(s3.Config{
			Kind: string(kind), Endpoint: s.S3.Endpoint, Region: s.S3.Region, Bucket: s.S3.Bucket, Prefix: s.S3.Prefix, PathStyle: s.S3.PathStyle,
			AccessKey: s.S3.AccessKey.Reveal(), SecretKey: s.S3.SecretKey, CAFile: s.S3.CAFile, Limit: s.Upload.Limit, Owner: owner,
			StorageClass: s.S3.StorageClass, SSE: s.S3.SSE, KMSKey: s.S3.KMSKey,
			LockFor: time.Duration(s.S3.ObjectLockDays) * 24 * time.Hour, MaxParts: s.S3.MaxParts,
		})
	case config.Dir:
		return dir.NewForeign(dir.Config{Path: s.Dir.Path, Owner: owner, Limit: s.Upload.Limit})
	default:
		return nil, fmt.Errorf("open target: %q is unknown", kind)
	}
}
