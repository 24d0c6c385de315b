package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/viper"

	"canton-backup/internal/backupset"
	"canton-backup/internal/secret"
)

// reader turns texts into settings and collects every problem on the way.
type reader struct {
	viper    *viper.Viper
	home     string
	hostname string
	problems []Problem
}

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
		Encryption: r.encryption(),
		Telegram:   r.telegram(),
		Identities: r.identities(),
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

func (r *reader) targets() []Kind {
	raw := r.text("BACKUP_TYPE", "")
	if raw == "" {
		r.missing("BACKUP_TYPE", "set rsync, r2, s3, dir or skip")
		return nil
	}
	var kinds []Kind
	for _, word := range strings.Split(raw, ",") {
		kind := Kind(strings.ToLower(strings.TrimSpace(word)))
		switch {
		case !slices.Contains([]Kind{Rsync, R2, S3, Dir, Skip}, kind):
			r.bad("BACKUP_TYPE", raw, fmt.Sprintf("%q is no target", strings.TrimSpace(word)), "use rsync, r2, s3, dir or skip, several with commas")
		case slices.Contains(kinds, kind):
			r.bad("BACKUP_TYPE", raw, fmt.Sprintf("%q stands twice", kind), "name each target once")
		default:
			kinds = append(kinds, kind)
		}
	}
	if slices.Contains(kinds, Skip) {
		if len(kinds) > 1 {
			r.bad("BACKUP_TYPE", raw, "skip means no target at all", "leave skip or the others out")
		}
		return nil
	}
	return kinds
}

func (r *reader) encryption() Encryption {
	e := Encryption{Required: r.boolean("REQUIRE_ENCRYPTION", false), Key: r.text("DECRYPTION_KEY", ""), IdentitiesTo: r.list("IDENTITIES_RECIPIENTS")}
	if e.Key != "" && e.Key != agentWord {
		e.Key = r.path("DECRYPTION_KEY", "")
	}
	switch method := r.oneOf("ENCRYPTION", "none", "none", "age", "gpg"); method {
	case "age":
		e.Method = backupset.Age
		if e.AgeRecipients = r.list("AGE_RECIPIENTS"); len(e.AgeRecipients) == 0 {
			r.missing("AGE_RECIPIENTS", "make a key pair on another host (age-keygen -o key.txt), keep it there, and set its public key: age1…")
		}
	case "gpg":
		e.Method = backupset.GPG
		if e.GPGPublicKeys = r.list("GPG_PUBLIC_KEYS"); len(e.GPGPublicKeys) == 0 {
			r.missing("GPG_PUBLIC_KEYS", "export the public key to a file (gpg --export --armor KEY > backup.asc), and set its path")
		}
		r.absolute("GPG_PUBLIC_KEYS", e.GPGPublicKeys)
		r.absolute("IDENTITIES_RECIPIENTS", e.IdentitiesTo)
	default:
		if e.Required {
			r.bad("REQUIRE_ENCRYPTION", "true", "ENCRYPTION is none: there would be no backup at all", "set ENCRYPTION=age or gpg")
		}
	}
	if slices.ContainsFunc(slices.Concat(e.IdentitiesTo, e.AgeRecipients), func(text string) bool { return strings.Contains(strings.ToUpper(text), "SECRET-KEY") }) {
		r.bad("AGE_RECIPIENTS or IDENTITIES_RECIPIENTS", misplaced, "a private key stands there", "set the public key (age-keygen -y), and take the private one off this host")
		e.AgeRecipients, e.IdentitiesTo = nil, nil
	}
	return e
}

func (r *reader) absolute(name string, files []string) {
	for _, file := range files {
		if !filepath.IsAbs(file) {
			r.bad(name, file, "is not an absolute path", "begin it with / or ~/")
		}
	}
}

// agentWord in DECRYPTION_KEY stands for a key that gpg holds, not for a file.
const agentWord = "gpg-agent"

func (r *reader) rsync() RsyncSettings {
	s := RsyncSettings{
		Host:       r.required("REMOTE_HOST", "set user@host"),
		Path:       r.required("REMOTE_PATH", "set the folder on that host, e.g. ~/canton-backups/mainnet"),
		Port:       r.number("REMOTE_PORT", 22, 1, 65535),
		KeyFile:    r.path("SSH_KEY", ""),
		KnownHosts: filepath.Join(r.home, ".ssh", "known_hosts"),
	}
	if s.Host != "" && !hostPattern.MatchString(s.Host) {
		r.bad("REMOTE_HOST", s.Host, "is not user@host", "set user@host, the port in REMOTE_PORT")
	}
	if strings.ContainsAny(s.Path, "\x00\n") {
		r.bad("REMOTE_PATH", s.Path, "holds a line break", "set a plain folder name")
	}
	if s.KeyFile == "" {
		// The guide makes this key (backup.md, "Setup SSH key"), and ssh does not try that name by itself.
		if own := filepath.Join(r.home, ".ssh", "id_backup"); exists(own) {
			s.KeyFile = own
		}
	} else if !exists(s.KeyFile) {
		r.bad("SSH_KEY", s.KeyFile, "there is no such file", "make it: ssh-keygen -t ed25519 -N \"\" -f "+s.KeyFile)
	}
	return s
}

func (r *reader) r2() R2Settings {
	s := R2Settings{
		Bucket:    r.required("R2_BUCKET", "set the bucket's name"),
		AccessKey: r.secret("R2_ACCESS_KEY", "copy it from Cloudflare: R2, Manage R2 API tokens"),
		SecretKey: r.secret("R2_SECRET_KEY", "copy it from Cloudflare: R2, Manage R2 API tokens"),
		Endpoint:  r.text("R2_ENDPOINT", ""),
	}
	if s.Bucket != "" && !bucketPattern.MatchString(s.Bucket) {
		r.bad("R2_BUCKET", misplaced, "is no bucket name", "use 3 to 63 lower-case letters, digits, dots and dashes")
	}
	if s.Endpoint == "" {
		account := r.required("R2_ACCOUNT_ID", "copy it from the Cloudflare dashboard")
		if account != "" && !labelPattern.MatchString(account) {
			r.bad("R2_ACCOUNT_ID", misplaced, "is no account id", "copy the id alone, without https:// or a domain")
		}
		s.Endpoint = "https://" + account + ".r2.cloudflarestorage.com"
		return s
	}
	r.address("R2_ENDPOINT", s.Endpoint)
	return s
}

func (r *reader) telegram() Telegram {
	t := Telegram{Token: secret.New(r.text("TELEGRAM_BOT_TOKEN", "")), ChatID: r.text("TELEGRAM_CHAT_ID", ""),
		API: strings.TrimSuffix(r.text("TELEGRAM_API", "https://api.telegram.org"), "/")}
	if u, err := url.Parse(t.API); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
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

func (r *reader) identities() Identities {
	if r.oneOf("IDENTITIES", "on", "on", "off") == "off" {
		return Identities{Off: true}
	}
	s := Identities{
		URL: strings.TrimSuffix(r.text("IDENTITIES_URL", ""), "/"), ClientID: r.text("IDENTITIES_CLIENT_ID", ""),
		ClientSecret: secret.New(r.text("IDENTITIES_CLIENT_SECRET", "")), TokenURL: r.text("IDENTITIES_TOKEN_URL", ""),
		Audience: r.text("IDENTITIES_AUDIENCE", ""), Scope: r.text("IDENTITIES_SCOPE", ""), User: r.text("IDENTITIES_USER", ""),
	}
	if u, ok := webAddress(s.URL); s.URL != "" && (!ok || u.Path != "" || u.RawQuery != "") {
		r.bad("IDENTITIES_URL", redactUser(s.URL), "is no http(s) address of a host", "set http://host or http://host:port, without credentials and path")
	}
	if _, ok := webAddress(s.TokenURL); s.TokenURL != "" && !ok {
		r.bad("IDENTITIES_TOKEN_URL", misplaced, "is no http(s) address", "copy token_endpoint from your provider's openid-configuration")
	}
	switch {
	case s.ClientID != "" && s.ClientSecret.Empty():
		r.missing("IDENTITIES_CLIENT_SECRET", "set the client's secret, or leave IDENTITIES_CLIENT_ID out too")
	case s.ClientID == "" && !s.ClientSecret.Empty():
		r.missing("IDENTITIES_CLIENT_ID", "set the client's id, or leave IDENTITIES_CLIENT_SECRET out too")
	}
	return s
}

// webAddress reads an address that may be asked: http or https, with a host, without credentials and fragment.
func webAddress(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	return u, err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.User == nil && u.Fragment == ""
}

// address complains of an endpoint that is none.
func (r *reader) address(name, value string) {
	if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		r.bad(name, redactUser(value), "is no http(s) address", "set https://host or http://host:port, without credentials")
	}
}

func (r *reader) text(name, fallback string) string {
	if value := strings.TrimSpace(r.viper.GetString(name)); value != "" {
		return value
	}
	return fallback
}

func (r *reader) required(name, fix string) string {
	value := r.text(name, "")
	if value == "" {
		r.missing(name, fix)
	}
	return value
}

func (r *reader) secret(name, fix string) secret.String { return secret.New(r.required(name, fix)) }

func (r *reader) matching(name, fallback string, pattern *regexp.Regexp, fix string) string {
	value := r.text(name, fallback)
	if value != "" && !pattern.MatchString(value) {
		r.bad(name, value, "has characters that names cannot have", fix)
	}
	return value
}

func (r *reader) oneOf(name, fallback string, words ...string) string {
	value := strings.ToLower(r.text(name, fallback))
	if !slices.Contains(words, value) {
		r.bad(name, value, "is not known", "use "+strings.Join(words, " or "))
		return fallback
	}
	return value
}

func (r *reader) boolean(name string, fallback bool) bool {
	raw := r.text(name, strconv.FormatBool(fallback))
	switch strings.ToLower(raw) {
	case "true", "yes", "on", "1":
		return true
	case "false", "no", "off", "0":
		return false
	}
	r.bad(name, raw, "is neither true nor false", "use true or false")
	return fallback
}

// list splits a value at its commas. Items that begin with ~/ are paths of the operator's home.
func (r *reader) list(name string) []string {
	var items []string
	for _, item := range strings.Split(r.text(name, ""), ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, r.expand(item))
		}
	}
	return items
}

func (r *reader) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		return filepath.Join(r.home, rest)
	}
	return path
}

func (r *reader) number(name string, fallback, low, high int) int {
	raw := r.text(name, "")
	if raw == "" {
		return fallback
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < low || n > high {
		r.bad(name, raw, "is not a whole number in range", fmt.Sprintf("use %d to %d", low, high))
		return fallback
	}
	return n
}

func (r *reader) duration(name string, fallback time.Duration) time.Duration {
	raw := r.text(name, "")
	if raw == "" {
		return fallback
	}
	d, err := time.ParseDuration(raw)
	if err != nil || d < time.Minute || d > 7*24*time.Hour {
		r.bad(name, raw, "is no interval", "use 1m to 168h, e.g. 4h")
		return fallback
	}
	return d
}

// interval is a duration that "off" makes 0.
func (r *reader) interval(name string, fallback time.Duration) time.Duration {
	if strings.EqualFold(r.text(name, ""), "off") {
		return 0
	}
	raw := r.text(name, fallback.String())
	d, err := time.ParseDuration(raw)
	if err != nil || d < time.Minute || d > 90*24*time.Hour {
		r.bad(name, raw, "is no interval", "use 1m to 2160h, e.g. 168h, or off")
		return fallback
	}
	return d
}

func (r *reader) path(name, fallback string) string {
	raw := r.text(name, fallback)
	if raw == "" {
		return ""
	}
	raw = r.expand(raw)
	if !filepath.IsAbs(raw) {
		r.bad(name, raw, "is not an absolute path", "begin it with / or ~/")
	}
	return filepath.Clean(raw)
}

// misplaced stands for a value that is not shown: it stands where a line's neighbour is a secret, and may be that secret.
const misplaced = "[not shown]"

func (r *reader) missing(name, fix string) {
	r.problems = append(r.problems, Problem{Key: name, Cause: "is not set", Fix: fix})
}

func (r *reader) bad(name, value, cause, fix string) {
	r.problems = append(r.problems, Problem{Key: name, Value: value, Cause: cause, Fix: fix})
}

func redactUser(address string) string {
	if at := strings.LastIndex(address, "@"); at >= 0 {
		return "[redacted]" + address[at:]
	}
	return address
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
