package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"canton-backup/internal/secret"
)

var classPattern = regexp.MustCompile(`^[A-Z0-9][A-Z0-9_-]*$`)

// archives are storage classes whose objects cannot be read when we want to: neither after an upload nor for a restore.
var archives = []string{"GLACIER", "DEEP_ARCHIVE"}

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

func (r *reader) s3(node Node) S3Settings {
	s := S3Settings{
		Endpoint:       r.text("S3_ENDPOINT", ""),
		Bucket:         r.required("S3_BUCKET", "set the bucket's name"),
		Prefix:         r.text("S3_PREFIX", node.Network+"/"+node.Name), // one bucket may serve several nodes
		AccessKey:      secret.New(r.text("S3_ACCESS_KEY", "")),
		SecretKey:      secret.New(r.text("S3_SECRET_KEY", "")),
		StorageClass:   strings.ToUpper(r.text("S3_STORAGE_CLASS", "")),
		SSE:            r.text("S3_SSE", ""),
		KMSKey:         r.text("S3_SSE_KMS_KEY", ""),
		ObjectLockDays: r.number("S3_OBJECT_LOCK_DAYS", 0, 0, 36500),
		MaxParts:       r.number("S3_MAX_PARTS", 10000, 1, 10000),
		CAFile:         r.path("S3_CA_FILE", ""),
	}
	s.PathStyle = r.truth("S3_PATH_STYLE", s.Endpoint != "")
	if s.Endpoint != "" {
		r.address("S3_ENDPOINT", s.Endpoint)
		s.Region = r.text("S3_REGION", "us-east-1") // what servers that know no regions go by
	} else {
		s.Region = r.required("S3_REGION", "set the bucket's region, e.g. eu-central-1, or S3_ENDPOINT for a server that is not AWS")
	}
	if s.Region != "" && !labelPattern.MatchString(s.Region) {
		r.bad("S3_REGION", s.Region, "is no region", "use a name like eu-central-1")
	}
	// Servers of one's own allow names that AWS does not.
	if s.Bucket != "" && !bucketPattern.MatchString(strings.ToLower(strings.ReplaceAll(s.Bucket, "_", "-"))) {
		r.bad("S3_BUCKET", misplaced, "is no bucket name", "use the name alone, 3 to 63 letters, digits, dots and dashes")
	}
	if strings.ContainsFunc(s.Prefix, func(c rune) bool { return c < ' ' }) || slices.Contains(strings.Split(s.Prefix, "/"), "..") {
		r.bad("S3_PREFIX", s.Prefix, "is no folder in a bucket", "use names with slashes between them")
	}
	switch {
	case s.AccessKey.Empty() && !s.SecretKey.Empty():
		r.missing("S3_ACCESS_KEY", "set it, or leave S3_SECRET_KEY out too, for AWS's own ways to find keys")
	case !s.AccessKey.Empty() && s.SecretKey.Empty():
		r.missing("S3_SECRET_KEY", "set it, or leave S3_ACCESS_KEY out too, for AWS's own ways to find keys")
	}
	r.s3Storage(s)
	return s
}

func (r *reader) s3Storage(s S3Settings) {
	if s.StorageClass != "" && !classPattern.MatchString(s.StorageClass) {
		r.bad("S3_STORAGE_CLASS", misplaced, "is no storage class", "use a word like STANDARD_IA")
	}
	if slices.Contains(archives, s.StorageClass) {
		r.bad("S3_STORAGE_CLASS", s.StorageClass, "is an archive: what was stored could not be read back", "use STANDARD_IA or GLACIER_IR")
	}
	if s.SSE != "" && s.SSE != "AES256" && s.SSE != "aws:kms" {
		r.bad("S3_SSE", s.SSE, "is not known", "use AES256 or aws:kms")
	}
	if s.KMSKey != "" && s.SSE != "aws:kms" {
		r.bad("S3_SSE_KMS_KEY", s.KMSKey, "is for S3_SSE=aws:kms alone", "set S3_SSE=aws:kms, or leave the key out")
	}
	if s.CAFile != "" && !exists(s.CAFile) {
		r.bad("S3_CA_FILE", s.CAFile, "there is no such file", "copy the server's certificate, or its authority's, there (PEM)")
	}
}

// dir keeps target and local sets apart: each would take the other's for its own, and a prune of one delete both.
func (r *reader) dir(backupDir string) DirSettings {
	if r.required("DIR_PATH", "set a folder on another disk or share, e.g. /mnt/backup/canton") == "" {
		return DirSettings{}
	}
	s := DirSettings{Path: r.path("DIR_PATH", "")}
	target, local := resolvedSoon(s.Path), resolved(backupDir)
	if inside(target, local) || inside(local, target) {
		r.bad("DIR_PATH", s.Path, "lies inside BACKUP_DIR ("+backupDir+"), or the reverse", "set a folder on another disk")
	}
	return s
}

// inside reports whether path is folder or lies below it.
func inside(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// resolvedSoon is resolved of a path that may lie on a dead share, where a look lasts for ever: then it is the path itself.
func resolvedSoon(path string) string {
	found := make(chan string, 1)
	go func() { found <- resolved(path) }()
	select {
	case real := <-found:
		return real
	case <-time.After(5 * time.Second):
		return path
	}
}

// resolved follows the links of as much of the path as exists.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(resolved(parent), filepath.Base(path))
	}
	return path
}
