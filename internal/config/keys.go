package config

// Key is one setting: a line of toolkit.conf and the environment variable of the same name that overrides it.
type Key struct {
	Name    string
	Default string // in words when it is computed
	Secret  bool
	Help    string // one line, also the text of `config init` and of docs/reference/settings.md
}

// Keys lists every setting that this program reads, in the order of the documentation.
var Keys = []Key{
	{"BACKUP_TYPE", "", false, "where sets go: rsync | r2 | s3 | dir | skip (local only), or several with commas: rsync,r2"},
	{"REMOTE_HOST", "", false, "rsync: user@host"},
	{"REMOTE_PATH", "", false, "rsync: folder there; ~/ is the remote user's home"},
	{"REMOTE_PORT", "22", false, "rsync: SSH port"},
	{"SSH_KEY", "~/.ssh/id_backup if it exists, else ssh's own choice", false, "rsync: private key file"},
	{"R2_BUCKET", "", false, "r2: bucket"},
	{"R2_ACCOUNT_ID", "", false, "r2: Cloudflare account id, the first label of the endpoint"},
	{"R2_ACCESS_KEY", "", true, "r2: access key id of an API token with Object Read & Write"},
	{"R2_SECRET_KEY", "", true, "r2: secret access key of that token"},
	{"R2_ENDPOINT", "https://<R2_ACCOUNT_ID>.r2.cloudflarestorage.com", false, "r2: another S3 endpoint, http(s)://host[:port]"},
	{"S3_BUCKET", "", false, "s3: bucket"},
	{"S3_ENDPOINT", "AWS, by region", false, "s3: server, http(s)://host[:port]"},
	{"S3_REGION", "us-east-1 with S3_ENDPOINT, else to be set", false, "s3: region"},
	{"S3_PREFIX", "<NETWORK>/<NODE_NAME>", false, "s3: folder in the bucket; each node needs its own"},
	{"S3_PATH_STYLE", "true with S3_ENDPOINT, else false", false, "s3: bucket in the path (true) or in the host name (false)"},
	{"S3_ACCESS_KEY", "", true, "s3: access key id; with S3_SECRET_KEY empty too: AWS's own ways, such as a profile or the machine's role"},
	{"S3_SECRET_KEY", "", true, "s3: secret access key"},
	{"S3_STORAGE_CLASS", "the bucket's own", false, "s3: storage class, e.g. STANDARD_IA; no archive, for sets are read back"},
	{"S3_SSE", "the bucket's own", false, "s3: encryption at the server, AES256 | aws:kms"},
	{"S3_SSE_KMS_KEY", "the account's own", false, "s3: key id for S3_SSE=aws:kms"},
	{"S3_OBJECT_LOCK_DAYS", "0", false, "s3: days for which a stored file is locked (governance mode); the bucket needs object lock"},
	{"S3_MAX_PARTS", "10000", false, "s3: most parts of one upload, for servers that allow fewer"},
	{"S3_CA_FILE", "the host's authorities", false, "s3: further authorities (PEM), for a server of your own"},
	{"DIR_PATH", "", false, "dir: folder on another disk or share; must exist, best below the mount point"},
	{"UPLOAD_LIMIT", "0", false, "bytes a second that each target gets at most: 500K, 10M, 10MiB; 0 is no limit"},
	{"RETENTION_DAYS", "7", false, "sets older than this are pruned, here and there, except those that a KEEP_ key or a pin keeps"},
	{"KEEP_LAST", "3", false, "the newest verified sets that stay whatever their age, at least 1"},
	{"KEEP_DAILY", "0", false, "of each of the last so many days (UTC) that hold a verified set, the newest stays"},
	{"KEEP_WEEKLY", "0", false, "the same for weeks (ISO, from Monday)"},
	{"KEEP_MONTHLY", "0", false, "the same for months"},
	{"COMPRESSION", "gzip", false, "gzip | zstd (smaller and faster; restore needs the zstd tool)"},
	{"ZSTD_LEVEL_MIN", "1", false, "zstd: least level, 1 | 3 | 7"},
	{"ZSTD_LEVEL_MAX", "7", false, "zstd: greatest level; between the two the link decides, as the last uploads have shown it: a slow one is worth more work"},
	{"BACKUP_CORES", "all", false, "how many processor cores backups, drills and restores may keep busy, at low priority; the database server's own work for them comes on top"},
	{"ENCRYPTION", "none", false, "none | age | gpg: encrypt every file before it touches the disk; a dump holds the node's private keys"},
	{"AGE_RECIPIENTS", "", false, "age: public keys with commas: age1…, ssh-ed25519 …, ssh-rsa …, or absolute paths of files with a key a line"},
	{"GPG_PUBLIC_KEYS", "", false, "gpg: files that `gpg --export` wrote, with commas"},
	{"IDENTITIES_RECIPIENTS", "those of the dumps", false, "age or gpg: other public keys for the node's identities alone, written as AGE_RECIPIENTS or GPG_PUBLIC_KEYS are"},
	{"REQUIRE_ENCRYPTION", "false", false, "true: no plain file leaves this host"},
	{"DECRYPTION_KEY", "", false, "file of the private key, or gpg-agent, for drills and restores; empty: canton-backup unlock lends one when it is needed"},
	{"BACKUP_EVERY", "4h", false, "interval of the schedule: 30m, 4h, 24h"},
	{"DRILL_EVERY", "168h", false, "interval of drills, which prove that the newest set restores: 24h, 168h, or off"},
	{"BACKUP_DIR", "~/.canton/backups", false, "local copies of the sets"},
	{"TELEGRAM_BOT_TOKEN", "", true, "alerts: token of the bot"},
	{"TELEGRAM_CHAT_ID", "", false, "alerts: chat that gets them"},
	{"TELEGRAM_API", "https://api.telegram.org", false, "alerts: another Bot API server"},
	{"SLACK_WEBHOOK_URL", "", true, "alerts: incoming webhook of Slack, or of a server that takes the same"},
	{"DISCORD_WEBHOOK_URL", "", true, "alerts: webhook of a Discord channel"},
	{"PAGERDUTY_ROUTING_KEY", "", true, "alerts: integration key of a PagerDuty service (Events API v2); an incident is closed when its cause is over"},
	{"NOTIFY_URLS", "", true, "alerts: further channels with spaces: https://… for a webhook (JSON), smtp://… for mail, or any other URL of shoutrrr; see docs/how-to/alerts.md"},
	{"NOTIFY_ON", "failure", false, "failure | failure,recovery: whether a message says that what was told is over"},
	{"NOTIFY_REPEAT", "4h", false, "how long until a cause that lasts is told again, at least 15m"},
	{"PING_URL", "", true, "dead-man's switch, such as healthchecks.io: asked at <url>/start, <url>, and <url>/fail of every backup"},
	{"IDENTITIES", "on", false, "on | off: fetch the identities dump from the validator app, see docs/how-to/identities.md"},
	{"IDENTITIES_URL", "asked of the validator container", false, "identities: another address of the validator app, e.g. http://wallet.localhost"},
	{"IDENTITIES_CLIENT_ID", "asked of the validator container", false, "identities: client id at your identity provider, when auth is on"},
	{"IDENTITIES_CLIENT_SECRET", "asked of the validator container", true, "identities: secret of that client"},
	{"IDENTITIES_TOKEN_URL", "found by the validator's AUTH_WELLKNOWN_URL", false, "identities: token endpoint of your identity provider"},
	{"IDENTITIES_AUDIENCE", "asked of the validator container", false, "identities: audience of the token, the VALIDATOR_AUTH_AUDIENCE of the node"},
	{"IDENTITIES_SCOPE", "asked of the validator container", false, "identities: scopes to ask for, several with spaces"},
	{"IDENTITIES_USER", "asked of the validator container", false, "identities: administrator to ask as, when auth is off"},
	{"NETWORK", "mainnet", false, "mainnet | testnet | devnet, or the name of yours"},
	{"NODE_NAME", "this host's name", false, "name of this node in manifests, queues, alerts"},
	{"COMPOSE_PROJECT", "the only one found", false, "compose project of the node, when a host runs several"},
	{"VALIDATOR_DB", "validator", false, "validator app's database"},
	{"PARTICIPANT_DB", "asked of the participant container", false, "participant's database"},
	{"TEMPORAL_DIR", "~/.canton/temporal", false, "files of the embedded Temporal; each node of one user needs its own"},
	{"TEMPORAL_PORT", "7233", false, "port of the embedded Temporal on 127.0.0.1"},
	{"TEMPORAL_UI_PORT", "8233", false, "port of its web UI on 127.0.0.1"},
	{"TEMPORAL_UI_URL", "the embedded Temporal's", false, "web UI of your Temporal cluster, for links to runs: https://temporal.example.com"},
	{"HEALTH_ADDRESS", "127.0.0.1:8234", false, "where the worker serves status page, /healthz and /metrics, host:port, or off; see docs/how-to/status-page.md"},
	{"VERSION", "", false, "Splice version, as the toolkit wrote it"},
	{"PARTY_HINT", "", false, "party hint, as the toolkit wrote it"},
	{"MIGRATION_ID", "", false, "migration id, as the toolkit wrote it"},
	{"SV_URL", "", false, "sponsor SV, as the toolkit wrote it"},
	{"SCAN_URL", "", false, "Scan, as the toolkit wrote it"},
}

// toolkitKeys belong to the operator's toolkit and mean nothing to us: no warning.
var toolkitKeys = []string{
	"CANTON_NETWORK_NAME", "AUTO_UPGRADE", "WAIT_HOURS",
	"MONITORING", "TAILSCALE", "TAILSCALE_AUTHKEY", "TAILSCALE_IP", "TOOLKIT_DIR", "ONBOARDING_SECRET",
}

func key(name string) (Key, bool) {
	for _, k := range Keys {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}
