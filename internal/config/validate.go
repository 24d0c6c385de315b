package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/secret"
)

var (
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	hostPattern   = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9._-]*@)?[A-Za-z0-9\[][A-Za-z0-9.:\]-]*$`)
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	labelPattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*$`)
	tokenPattern  = regexp.MustCompile(`^[0-9]+:[A-Za-z0-9_-]+$`)
	chatPattern   = regexp.MustCompile(`^(-?[0-9]+|@[A-Za-z0-9_]+)$`)
)

func (r *reader) settings() Settings {
	s := Settings{
		Node: Node{
			Name:           r.matching("NODE_NAME", r.hostname, namePattern, "use letters, digits, dot, dash, underscore"),
			Network:        r.matching("NETWORK", "mainnet", namePattern, "use mainnet, testnet, devnet or a plain name"),
			ComposeProject: r.matching("COMPOSE_PROJECT", "", namePattern, "use the name that `docker compose ls` shows"),
			ValidatorDB:    r.text("VALIDATOR_DB", "validator"),
			ParticipantDB:  r.text("PARTICIPANT_DB", ""),
		},
		Retention: Retention{
			Days:        r.number("RETENTION_DAYS", 7, 1, 36500),
			KeepLast:    r.number("KEEP_LAST", 3, 1, 10000), // a policy that keeps nothing cannot be written
			KeepDaily:   r.number("KEEP_DAILY", 0, 0, 10000),
			KeepWeekly:  r.number("KEEP_WEEKLY", 0, 0, 10000),
			KeepMonthly: r.number("KEEP_MONTHLY", 0, 0, 10000),
		},
		Upload:     Upload{Limit: r.rate("UPLOAD_LIMIT")},
		Every:      r.duration("BACKUP_EVERY", 4*time.Hour),
		Drill:      r.interval("DRILL_EVERY", 7*24*time.Hour),
		BackupDir:  r.path("BACKUP_DIR", "~/.canton/backups"),
		Codec:      backupset.Codec(r.oneOf("COMPRESSION", "gzip", "gzip", "zstd")),
		Zstd:       r.zstd(),
		Cores:      r.cores(),
		Encryption: r.encryption(),
		Telegram:   r.telegram(),
		Alerts:     r.alerts(),
		Identities: r.identities(),
		Health:     r.health(),
		Toolkit:    Toolkit{Version: r.text("VERSION", ""), Sponsor: r.text("SV_URL", ""), Scan: r.text("SCAN_URL", ""), PartyHint: r.text("PARTY_HINT", ""), Migration: r.text("MIGRATION_ID", "")},
		Temporal: Temporal{
			Dir:    r.path("TEMPORAL_DIR", "~/.canton/temporal"),
			Port:   r.number("TEMPORAL_PORT", 7233, 1, 65535),
			UIPort: r.number("TEMPORAL_UI_PORT", 8233, 1, 65535),
		},
	}
	s.Targets = r.targets()
	// A target's own keys count only when BACKUP_TYPE names it: a file may carry leftovers of a former one.
	if slices.Contains(s.Targets, Rsync) {
		s.Rsync = r.rsync()
	}
	if slices.Contains(s.Targets, R2) {
		s.R2 = r.r2()
	}
	if slices.Contains(s.Targets, S3) {
		s.S3 = r.s3(s.Node)
	}
	if slices.Contains(s.Targets, Dir) {
		s.Dir = r.dir(s.BackupDir)
	}
	return s
}

func (r *reader) telegram() Telegram {
	t := Telegram{Token: secret.New(r.text("TELEGRAM_BOT_TOKEN", "")), ChatID: r.text("TELEGRAM_CHAT_ID", ""),
		API: strings.TrimSuffix(r.text("TELEGRAM_API", "https://api.telegram.org"), "/")}
	if _, ok := webAddress(t.API); !ok {
		r.bad("TELEGRAM_API", redactUser(t.API), "is no http(s) address", "leave it out")
	}
	switch {
	case t.Token.Empty() && t.ChatID == "":
		return t
	case t.Token.Empty():
		r.missing("TELEGRAM_BOT_TOKEN", "set the bot's token, or leave TELEGRAM_CHAT_ID out too")
	case t.ChatID == "":
		r.missing("TELEGRAM_CHAT_ID", "set the chat's id, or leave TELEGRAM_BOT_TOKEN out too")
	}
	if !t.Token.Empty() && !tokenPattern.MatchString(t.Token.Reveal()) {
		r.bad("TELEGRAM_BOT_TOKEN", t.Token.String(), "is no bot token", "copy it from @BotFather: digits, a colon, letters")
	}
	if t.ChatID != "" && !chatPattern.MatchString(t.ChatID) {
		r.bad("TELEGRAM_CHAT_ID", misplaced, "is no chat id", "use a number such as -1001234567890, or @channelname")
	}
	return t
}

func (r *reader) zstd() backupset.Levels {
	l := backupset.Levels{Floor: r.choice("ZSTD_LEVEL_MIN", backupset.ZstdLevels[0], backupset.ZstdLevels), Ceiling: r.choice("ZSTD_LEVEL_MAX", slices.Max(backupset.ZstdLevels), backupset.ZstdLevels)}
	if l.Floor > l.Ceiling {
		r.bad("ZSTD_LEVEL_MAX", fmt.Sprint(l.Ceiling), fmt.Sprintf("is less than ZSTD_LEVEL_MIN=%d", l.Floor), "set both to the same level, or leave one out")
	}
	return l
}

func (r *reader) cores() int {
	if strings.EqualFold(r.text("BACKUP_CORES", "all"), "all") {
		return 0
	}
	return r.number("BACKUP_CORES", 0, 1, 4096)
}
