package config_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
)

var update = flag.Bool("update", false, "write golden files anew")

// isolate gives the test a home of its own and no settings in the environment.
func isolate(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("CANTON_BACKUP_CONF", "")
	for _, k := range config.Keys {
		t.Setenv(k.Name, "") // an empty variable counts as unset
	}
	return home
}

// describe renders settings with their secrets: the goldens pin each byte of them.
func describe(t *testing.T, s config.Settings, err error, home string) string {
	t.Helper()
	s.File, s.Home = filepath.Base(s.File), ""
	data, jsonErr := json.MarshalIndent(s, "", "  ")
	require.NoError(t, jsonErr)
	text := fmt.Sprintf("%s\naccess key: %q\nsecret key: %q\ns3 keys: %q %q\nbot token: %q\nclient secret: %q\nalerts: %q\n", data, s.R2.AccessKey.Reveal(), s.R2.SecretKey.Reveal(),
		s.S3.AccessKey.Reveal(), s.S3.SecretKey.Reveal(), s.Telegram.Token.Reveal(), s.Identities.ClientSecret.Reveal(), revealed(s.Alerts))
	if err != nil {
		text += "error: " + err.Error() + "\n"
	}
	if hostname, hostErr := os.Hostname(); hostErr == nil {
		text = strings.ReplaceAll(text, `"Name": "`+hostname+`"`, `"Name": "<host>"`)
	}
	wd, wdErr := os.Getwd()
	require.NoError(t, wdErr)
	return strings.ReplaceAll(strings.ReplaceAll(text, home, "<home>"), wd+"/testdata/", "")
}

func revealed(a config.Alerts) []string {
	values := []string{a.Slack.Reveal(), a.Discord.Reveal(), a.PagerDuty.Reveal(), a.Ping.Reveal()}
	for _, u := range a.URLs {
		values = append(values, u.Reveal())
	}
	return values
}

func TestLoad_Dialect(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".conf"), func(t *testing.T) {
			home := isolate(t)
			path, err := filepath.Abs(file)
			require.NoError(t, err)
			s, err := config.Load(path)
			got := describe(t, s, err, home)
			golden := strings.TrimSuffix(file, ".conf") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

func TestLoad_NoFile(t *testing.T) {
	home := isolate(t)
	path, err := config.DefaultFile()
	require.NoError(t, err)
	require.Equal(t, filepath.Join(home, ".canton", "toolkit.conf"), path)
	_, err = config.Load(path)
	var problems *config.Error
	require.ErrorAs(t, err, &problems)
	require.Contains(t, err.Error(), "config init")
}

func TestLoad_EditIsLiveAtTheNextReading(t *testing.T) {
	isolate(t)
	path := filepath.Join(t.TempDir(), "toolkit.conf")
	write := func(text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write("BACKUP_TYPE=skip\nRETENTION_DAYS=1\n")
	s, err := config.Load(path)
	require.NoError(t, err)
	require.Equal(t, 1, s.Retention.Days)
	write("BACKUP_TYPE=skip\nRETENTION_DAYS=9\n")
	s, err = config.Load(path)
	require.NoError(t, err)
	require.Equal(t, 9, s.Retention.Days)
}

func TestLoad_EnvironmentOverrides(t *testing.T) {
	isolate(t)
	path := filepath.Join(t.TempDir(), "toolkit.conf")
	require.NoError(t, os.WriteFile(path, []byte("BACKUP_TYPE=rsync\nRETENTION_DAYS=1\n"), 0o600))
	t.Setenv("BACKUP_TYPE", "skip")
	s, err := config.Load(path)
	require.NoError(t, err)
	require.Empty(t, s.Targets)
	require.Equal(t, 1, s.Retention.Days)
}

func TestLoad_KeyOfTheGuide(t *testing.T) {
	home := isolate(t)
	path := filepath.Join(home, "toolkit.conf")
	require.NoError(t, os.WriteFile(path, []byte("BACKUP_TYPE=rsync\nREMOTE_HOST=u@h\nREMOTE_PATH=~/x\n"), 0o600))
	s, err := config.Load(path)
	require.NoError(t, err)
	require.Empty(t, s.Rsync.KeyFile)
	require.NoError(t, os.MkdirAll(filepath.Join(home, ".ssh"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", "id_backup"), nil, 0o600))
	s, err = config.Load(path)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(home, ".ssh", "id_backup"), s.Rsync.KeyFile)
}

// What a switched-off feature left in the file is no reason to stop.
func TestLoad_IdentitiesOff(t *testing.T) {
	isolate(t)
	path := filepath.Join(t.TempDir(), "toolkit.conf")
	const rest = "BACKUP_TYPE=skip\nIDENTITIES_URL=nowhere\nIDENTITIES_CLIENT_ID=id\n"
	require.NoError(t, os.WriteFile(path, []byte(rest+"IDENTITIES=OFF\n"), 0o600))
	s, err := config.Load(path)
	require.NoError(t, err)
	require.Equal(t, config.Identities{Off: true}, s.Identities)
	require.NoError(t, os.WriteFile(path, []byte(rest), 0o600))
	_, err = config.Load(path)
	require.ErrorContains(t, err, "IDENTITIES_URL")
	require.ErrorContains(t, err, "IDENTITIES_CLIENT_SECRET")
}

// A secret in the line beside its own is not shown either.
func TestLoad_SecretInTheWrongLine(t *testing.T) {
	isolate(t)
	path := filepath.Join(t.TempDir(), "toolkit.conf")
	for _, line := range []string{"TELEGRAM_BOT_TOKEN=-100\nTELEGRAM_CHAT_ID=123456789:AAcanary", "R2_BUCKET=AAcanary/+=", "R2_ACCOUNT_ID=AAcanary/+="} {
		require.NoError(t, os.WriteFile(path, []byte("BACKUP_TYPE=r2\nR2_ACCESS_KEY=k\nR2_SECRET_KEY=s\n"+line+"\n"), 0o600))
		_, err := config.Load(path)
		require.ErrorContains(t, err, "[not shown]")
		require.NotContains(t, err.Error(), "canary")
	}
}

func TestLoad_LevelsAndCores(t *testing.T) {
	isolate(t)
	path := filepath.Join(t.TempDir(), "toolkit.conf")
	load := func(text string) (config.Settings, error) {
		require.NoError(t, os.WriteFile(path, []byte("BACKUP_TYPE=skip\n"+text), 0o600))
		return config.Load(path)
	}
	s, err := load("ZSTD_LEVEL_MIN=3\nBACKUP_CORES=2\n")
	require.NoError(t, err)
	require.Equal(t, backupset.Levels{Floor: 3, Ceiling: 7}, s.Zstd)
	require.Equal(t, 2, s.Cores)
	s, err = load("BACKUP_CORES=ALL\n")
	require.NoError(t, err)
	require.Zero(t, s.Cores)
	_, err = load("ZSTD_LEVEL_MIN=7\nZSTD_LEVEL_MAX=3\n")
	require.ErrorContains(t, err, "ZSTD_LEVEL_MAX=3: is less than ZSTD_LEVEL_MIN=7")
}

// Each would take the other's sets for its own, however the paths are written.
func TestLoad_DirTargetApartFromLocalSets(t *testing.T) {
	home := isolate(t)
	require.NoError(t, os.MkdirAll(filepath.Join(home, "sets"), 0o700))
	require.NoError(t, os.Symlink(filepath.Join(home, "sets"), filepath.Join(home, "link")))
	path := filepath.Join(home, "toolkit.conf")
	for dir, refused := range map[string]bool{
		"~/sets": true, "~/sets/below/it": true, "~": true, "/": true, "~/link": true, "~/link/new/folder": true, "~/sets/../sets": true,
		"~/sets2": false, "~/.setsx": false, "/mnt/backup": false,
	} {
		require.NoError(t, os.WriteFile(path, []byte("BACKUP_TYPE=dir\nBACKUP_DIR=~/sets\nDIR_PATH="+dir+"\n"), 0o600))
		_, err := config.Load(path)
		if refused {
			require.ErrorContains(t, err, "DIR_PATH", dir)
		} else {
			require.NoError(t, err, dir)
		}
	}
}

// Every key with a rule must refuse a bad value, by name, without showing a secret.
func TestLoad_EveryKeyRefusesItsBadValue(t *testing.T) {
	const base = "BACKUP_TYPE=rsync,r2,s3,dir\nREMOTE_HOST=u@h\nREMOTE_PATH=~/x\nR2_BUCKET=bucket\nR2_ACCOUNT_ID=a1\nR2_ACCESS_KEY=k\nR2_SECRET_KEY=s\n" +
		"S3_BUCKET=bucket\nS3_REGION=eu-central-1\nS3_ACCESS_KEY=k\nS3_SECRET_KEY=s\nDIR_PATH=/mnt/backup\n"
	bad := map[string]string{
		"BACKUP_TYPE": "ftp", "REMOTE_HOST": "u@h;rm -rf", "REMOTE_PORT": "0", "SSH_KEY": "/nowhere/key", "R2_BUCKET": "UPPER",
		"R2_ACCOUNT_ID": "https://x", "R2_ENDPOINT": "host:9000", "RETENTION_DAYS": "0", "KEEP_LAST": "0", "KEEP_DAILY": "-1", "KEEP_WEEKLY": "all", "KEEP_MONTHLY": "1.5", "COMPRESSION": "xz", "ZSTD_LEVEL_MIN": "2", "ZSTD_LEVEL_MAX": "19", "BACKUP_CORES": "half",
		"ENCRYPTION": "rot13", "REQUIRE_ENCRYPTION": "maybe", "DECRYPTION_KEY": "here", "IDENTITIES_RECIPIENTS": "age1canary",
		"BACKUP_EVERY": "1s", "DRILL_EVERY": "weekly", "BACKUP_DIR": "here", "TELEGRAM_BOT_TOKEN": "canary", "TELEGRAM_CHAT_ID": "me", "TELEGRAM_API": "x",
		"SLACK_WEBHOOK_URL": "hooks.slack.com/canary", "DISCORD_WEBHOOK_URL": "canary", "PAGERDUTY_ROUTING_KEY": "canary", "NOTIFY_URLS": "https://host/x carrier-pigeon://canary",
		"NOTIFY_ON": "success", "NOTIFY_REPEAT": "5m", "PING_URL": "canary.example/uuid",
		"IDENTITIES": "maybe", "IDENTITIES_URL": "http://host/path", "IDENTITIES_CLIENT_ID": "id", "IDENTITIES_CLIENT_SECRET": "canary", "IDENTITIES_TOKEN_URL": "https://id:canary@host/token",
		"NETWORK": "a b", "NODE_NAME": "-x", "COMPOSE_PROJECT": "x/y", "TEMPORAL_DIR": "here", "TEMPORAL_PORT": "70000", "TEMPORAL_UI_PORT": "x", "TEMPORAL_UI_URL": "temporal:8080", "HEALTH_ADDRESS": "8234",
		"S3_BUCKET": "s3://bucket/x", "S3_ENDPOINT": "host:9000", "S3_REGION": "eu central", "S3_PREFIX": "../x", "S3_PATH_STYLE": "maybe",
		"S3_STORAGE_CLASS": "canary+", "S3_SSE": "rot13", "S3_SSE_KMS_KEY": "alias/x", "S3_OBJECT_LOCK_DAYS": "x", "S3_MAX_PARTS": "0",
		"S3_CA_FILE": "/nowhere/ca.pem", "DIR_PATH": "here", "UPLOAD_LIMIT": "fast",
	}
	free := []string{"REMOTE_PATH", "R2_ACCESS_KEY", "R2_SECRET_KEY", "S3_ACCESS_KEY", "S3_SECRET_KEY", "IDENTITIES_AUDIENCE", "IDENTITIES_SCOPE", "IDENTITIES_USER", "VALIDATOR_DB", "PARTICIPANT_DB", "VERSION", "PARTY_HINT", "MIGRATION_ID", "SV_URL", "SCAN_URL", "AGE_RECIPIENTS", "GPG_PUBLIC_KEYS"}
	for _, k := range config.Keys {
		value, has := bad[k.Name]
		if !has {
			require.Contains(t, free, k.Name, "a key without a bad value in this table must be free text")
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			isolate(t)
			path := filepath.Join(t.TempDir(), "toolkit.conf")
			require.NoError(t, os.WriteFile(path, []byte(base+k.Name+"="+value+"\n"), 0o600))
			_, err := config.Load(path)
			require.ErrorContains(t, err, k.Name)
			require.NotContains(t, err.Error(), "canary")
		})
	}
}
