package figures

import "strings"

// Names of the subjects, as tables and JSON have them.
const (
	Seed          = "docker exec pg_dump | gzip"
	ZstdContainer = "pg_dump | zstd -1"
	Custom        = "pg_dump -Fc"
	PgBackRest    = "pgBackRest"
	Restic        = "restic --stdin"
	Rclone        = "rclone rcat"
	OursZstd      = "canton-backup zstd"
	OursGzip      = "canton-backup gzip"
	OursZstdAge   = "canton-backup zstd+age"
	OursZstdGPG   = "canton-backup zstd+gpg"
	OursGzipAge   = "canton-backup gzip+age"

	SeedCopied = "pg_dump | gzip, rclone copy"

	GunzipPsql = "gunzip -c | psql"
	ZstdPsql   = "zstd -dc | psql -1"
	PgRestore  = "pg_restore -j2"
)

// Names of the cases.
const (
	Capture = "capture"
	Backup  = "backup"
	Restore = "restore"
	Drill   = "drill"
)

// OursDrill is the subject of drill: the set of OursZstdAge.
const OursDrill = "canton-backup drill"

// Ours tells the product's subjects from its peers.
func Ours(subject string) bool { return strings.HasPrefix(subject, "canton-backup ") }
