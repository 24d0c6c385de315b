// Package config reads the operator's settings: ~/.canton/toolkit.conf, overridden by the environment. It is the only package that
// reads either, and the only one that imports viper.
package config

import (
	"fmt"
	"strings"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/secret"
)

// Kind is a target's word in BACKUP_TYPE.
type Kind string

// The kinds of target. Skip stands alone and means that sets stay on this host.
const (
	Rsync Kind = "rsync"
	R2    Kind = "r2"
	S3    Kind = "s3"
	Dir   Kind = "dir"
	Skip  Kind = "skip"
)

// Settings is one reading of the settings.
type Settings struct {
	File       string // path of toolkit.conf
	Home       string // the operator's home folder
	Node       Node
	Targets    []Kind // empty for skip
	Rsync      RsyncSettings
	R2         R2Settings
	S3         S3Settings
	Dir        DirSettings
	Upload     Upload
	Retention  Retention
	Codec      backupset.Codec
	Zstd       backupset.Levels // of that codec; its link is not ours to know
	Cores      int              // that may be kept busy, 0 for all
	Encryption Encryption
	Every      time.Duration // interval of the schedule
	Drill      time.Duration // interval of drills, 0 for none
	BackupDir  string        // absolute
	Telegram   Telegram
	Alerts     Alerts     // the other channels, and when they are used
	Identities Identities // how the identities dump is fetched
	Temporal   Temporal
	Health     Health
	Toolkit    Toolkit
	Warnings   []string // unknown keys and the like: worth a line, no reason to stop
}

// Node says which node this is and where to look for it.
type Node struct {
	Name           string
	Network        string
	ComposeProject string // empty: the only one
	ValidatorDB    string
	ParticipantDB  string // empty: ask the participant's container
}

// RsyncSettings is the rsync target.
type RsyncSettings struct {
	Host       string // user@host
	Path       string
	Port       int
	KeyFile    string // empty: ssh chooses
	KnownHosts string // absolute
}

// R2Settings is the r2 target.
type R2Settings struct {
	Bucket    string
	Endpoint  string // http(s)://host[:port]
	AccessKey secret.String
	SecretKey secret.String
}

// S3Settings is the s3 target.
type S3Settings struct {
	Endpoint       string // http(s)://host[:port]; empty: AWS by region
	Region         string
	Bucket         string
	Prefix         string // folder in the bucket
	PathStyle      bool   // bucket in the path instead of the host name
	AccessKey      secret.String
	SecretKey      secret.String // both empty: AWS's own ways, such as a profile or the machine's role
	StorageClass   string        // empty: the bucket's own
	SSE            string        // "AES256", "aws:kms", or empty: the bucket's own
	KMSKey         string
	ObjectLockDays int // 0: none
	MaxParts       int
	CAFile         string // PEM; empty: the host's authorities alone
}

// DirSettings is the dir target.
type DirSettings struct {
	Path string // absolute; never created by us
}

// Upload is how sets travel to every target.
type Upload struct {
	Limit int64 // bytes a second for each target, 0 for no limit
}

// Retention is the prune policy.
type Retention struct {
	Days        int
	KeepLast    int
	KeepDaily   int // 0 for none, as the two below
	KeepWeekly  int
	KeepMonthly int
}

// Encryption says to whom files are encrypted, and what opens them here.
type Encryption struct {
	Method        backupset.Encryption
	AgeRecipients []string // of age: public keys, or absolute paths of files of them
	GPGPublicKeys []string // of gpg: absolute paths
	IdentitiesTo  []string // recipients of the identities alone, of the same kind; empty: the same as of the dumps
	Required      bool     // no plain file leaves this host
	Key           string   // absolute path of a private key, "gpg-agent", or empty: it is lent when it is needed
}

// Telegram is an alert channel; without a token and a chat it is none.
type Telegram struct {
	Token  secret.String
	ChatID string
	API    string
}

// Alerts are the channels beside Telegram, each empty when it is not used, and when they are told.
type Alerts struct {
	Slack     secret.String   // URL
	Discord   secret.String   // URL
	PagerDuty secret.String   // routing key
	URLs      []secret.String // https://… for a webhook, or what shoutrrr takes
	Recovery  bool            // told of what is over, too
	Repeat    time.Duration
	Ping      secret.String // URL of the dead-man's switch, empty for none
}

// Identities is where the node's identities dump comes from. Empty fields are asked of the validator's container.
type Identities struct {
	Off          bool   // then all else is empty
	URL          string // http(s)://host[:port], no slash at its end
	ClientID     string // never without ClientSecret
	ClientSecret secret.String
	TokenURL     string
	Audience     string
	Scope        string // several with spaces
	User         string
}

// Temporal is the embedded server.
type Temporal struct {
	Dir    string
	Port   int
	UIPort int
}

// Toolkit is what the toolkit wrote down of how the node is started, for what its containers do not tell.
type Toolkit struct {
	Version   string // of Splice
	Sponsor   string // SV_URL
	Scan      string // SCAN_URL
	PartyHint string
	Migration string // MIGRATION_ID
}

// Problem is one thing wrong with the settings.
type Problem struct {
	Key   string
	Value string // "[redacted]" for a secret
	Cause string
	Fix   string
}

// Error is all that is wrong with the settings at once.
type Error struct {
	File     string
	Problems []Problem
}

func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	lines = append(lines, fmt.Sprintf("read settings %s: %d to mend", e.File, len(e.Problems)))
	for _, p := range e.Problems {
		subject := p.Key
		if p.Value != "" {
			subject += "=" + p.Value
		}
		lines = append(lines, fmt.Sprintf("  %s: %s; %s", subject, p.Cause, p.Fix))
	}
	return strings.Join(lines, "\n")
}
