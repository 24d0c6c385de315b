package activities

import (
	"context"
	"errors"
	"syscall"

	"go.temporal.io/sdk/temporal"

	"canton-backup/internal/bundle"
	"canton-backup/internal/canton"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/docker"
	"canton-backup/internal/encryption"
	"canton-backup/internal/notify"
	"canton-backup/internal/postgres"
	"canton-backup/internal/seal"
	"canton-backup/internal/store"
)

// Names of the errors that a run can end with, as the Temporal UI and the alerts show them.
const (
	ConfigInvalid         = "ConfigInvalid"
	NodeNotFound          = "NodeNotFound"
	NodeAmbiguous         = "NodeAmbiguous"
	NodeBusy              = "NodeBusy"
	DatabaseNotFound      = "DatabaseNotFound"
	AuthDenied            = "AuthDenied"
	HostKeyNotTrusted     = "HostKeyNotTrusted"
	InsufficientSpace     = "InsufficientSpace"
	PairBroken            = "PairBroken"
	BackupCorrupt         = "BackupCorrupt"
	NameTaken             = "NameTaken"
	BucketNotFound        = "BucketNotFound"
	ClockSkew             = "ClockSkew"
	WrongRegion           = "WrongRegion"
	CertificateNotTrusted = "CertificateNotTrusted"
	TooLarge              = "TooLarge"
	DockerUnavailable     = "DockerUnavailable"
	PostgresUnavailable   = "PostgresUnavailable"
	TablesLocked          = "TablesLocked"
	Stalled               = "Stalled"
	DumpTruncated         = "DumpTruncated"
	DumpStalled           = "DumpStalled"
	UploadFailed          = "UploadFailed"
	AlertRejected         = "AlertRejected"
	WorkerStopping        = "WorkerStopping"
	SetNotFound           = "SetNotFound"
	RequestRefused        = "RequestRefused"
	RestoreRefused        = "RestoreRefused"
	RestoreDiffers        = "RestoreDiffers"
	KeysDiffer            = "KeysDiffer"
	ContentDiffers        = "ContentDiffers"
	LoadFailed            = "LoadFailed"
	SwapFailed            = "SwapFailed"
	NotApproved           = "NotApproved"
	BadRequest            = "BadRequest"
	BundleNotFound        = "BundleNotFound"
	ScriptFailed          = "ScriptFailed"
	NodeRuns              = "NodeRuns"
	NodeUnhealthy         = "NodeUnhealthy"
	DatabaseInUse         = "DatabaseInUse"
	UndoFailed            = "UndoFailed"
	RecipientInvalid      = "RecipientInvalid"
	EncryptionRequired    = "EncryptionRequired"
	KeyMissing            = "KeyMissing"
	KeyWrong              = "KeyWrong"
	KeyLocked             = "KeyLocked"
	StepFailed            = "StepFailed"
)

var (
	errPairBroken = errors.New("the two dumps do not belong together")
	errStopping   = errors.New("the worker is stopping")
	errStagedGone = errors.New("a staged dump is gone")

	errBadRequest     = errors.New("the request makes no sense")
	errRestoreDiffers = errors.New("the restored database is not the one that was dumped")
	errKeysDiffer     = errors.New("the private keys are not those that were dumped")
	errContentDiffers = errors.New("the restored copy does not hold what was dumped")
	errNodeRuns       = errors.New("the node does not stop")
	errFileTruncated  = errors.New("the file holds half a dump")
	errSwap           = errors.New("the databases are not what the restore made of them")
	errUnhealthy      = errors.New("not healthy")

	errDumpStalled = errors.New("pg_dump stands still")
)

// rule maps a domain error to its name in Temporal.
type rule struct {
	is    error
	name  string
	retry bool
}

// rules is the one table of errors; the first match counts. What is not here is retried under the name StepFailed.
var rules = []rule{
	{errStopping, WorkerStopping, true},
	{errPairBroken, PairBroken, false},
	{errPlain, EncryptionRequired, false},
	{encryption.ErrRecipient, RecipientInvalid, false},
	{encryption.ErrNoKey, KeyMissing, false},
	{encryption.ErrWrongKey, KeyWrong, false},
	{encryption.ErrLocked, KeyLocked, false},
	{errDumpStalled, DumpStalled, true},
	{errStagedGone, BackupCorrupt, false},
	{catalog.ErrUnsealed, BackupCorrupt, false}, // sealed a moment ago, and gone
	{errBadRequest, BadRequest, false},
	{errRestoreDiffers, RestoreDiffers, false},
	{errKeysDiffer, KeysDiffer, false},
	{errContentDiffers, ContentDiffers, false},
	{errFileTruncated, DumpTruncated, false}, // reading it again makes it no longer
	{errSwap, SwapFailed, false},
	{errNodeRuns, NodeRuns, true},
	{errUnhealthy, NodeUnhealthy, false},
	{bundle.ErrNoScript, BundleNotFound, false},
	{bundle.ErrFailed, ScriptFailed, true},
	{postgres.ErrInUse, DatabaseInUse, true},
	{canton.ErrAmbiguous, NodeAmbiguous, false},
	{canton.ErrNoNode, NodeNotFound, true}, // a restarting container comes back
	{canton.ErrNoDatabase, DatabaseNotFound, false},
	{postgres.ErrAuth, AuthDenied, false},
	{postgres.ErrNoDatabase, DatabaseNotFound, false},
	{postgres.ErrNoSpace, InsufficientSpace, false},
	{postgres.ErrLocked, TablesLocked, true},
	{postgres.ErrLoad, LoadFailed, false},
	{postgres.ErrTruncated, DumpTruncated, true},
	{postgres.ErrUnreachable, PostgresUnavailable, true},
	{docker.ErrUnavailable, DockerUnavailable, true},
	{seal.ErrDiffers, BackupCorrupt, false},
	{store.ErrHostKey, HostKeyNotTrusted, false},
	{store.ErrClock, ClockSkew, false},
	{store.ErrRegion, WrongRegion, false},
	{store.ErrCertificate, CertificateNotTrusted, false},
	{store.ErrTooLarge, TooLarge, false},
	{store.ErrDenied, AuthDenied, false},
	{store.ErrFull, InsufficientSpace, false},
	{store.ErrExists, NameTaken, false},
	{store.ErrCorrupt, BackupCorrupt, true}, // sent again once more: the line may have changed it
	{store.ErrNoBucket, BucketNotFound, false},
	{store.ErrStalled, Stalled, true},
	{store.ErrRefused, RequestRefused, false},
	{store.ErrNotFound, SetNotFound, false},
	{notify.ErrRejected, AlertRejected, false},
	{syscall.ENOSPC, InsufficientSpace, false},
	{syscall.EDQUOT, InsufficientSpace, false},
}

// nextSteps says what the operator does about an error, one line a name.
var nextSteps = map[string]string{
	ConfigInvalid:         "mend toolkit.conf, check it with: canton-backup config check",
	NodeNotFound:          "start the node with its start.sh, then: canton-backup backup",
	NodeAmbiguous:         "set COMPOSE_PROJECT or PARTICIPANT_DB in toolkit.conf",
	NodeBusy:              "wait for the other run, see: canton-backup status",
	DatabaseNotFound:      "check VALIDATOR_DB and PARTICIPANT_DB, see: canton-backup doctor",
	AuthDenied:            "repair the key, token or password, check with: canton-backup doctor",
	HostKeyNotTrusted:     "compare the host's key by another way before you trust it, see docs/how-to/rsync.md",
	InsufficientSpace:     "free space, then start it again",
	PairBroken:            "run it again; if it comes back, see docs/reference/checks.md",
	BackupCorrupt:         "check disks and memory of both hosts, then: canton-backup backup",
	NameTaken:             "give each node a REMOTE_PATH of its own",
	BucketNotFound:        "create the bucket or mount the disk, or mend R2_BUCKET, S3_BUCKET or DIR_PATH",
	ClockSkew:             "set the clock of the host that is wrong: timedatectl; no set may be trusted to be the newest until then",
	WrongRegion:           "set S3_REGION to the bucket's own",
	CertificateNotTrusted: "set S3_CA_FILE to the authority of your server, or have its certificate renewed",
	TooLarge:              "raise S3_MAX_PARTS if the server allows it, or set COMPRESSION=zstd",
	DockerUnavailable:     "start docker, or let this user use it",
	PostgresUnavailable:   "see the logs of the postgres-splice container",
	TablesLocked:          "wait for the migration to end, then: canton-backup backup",
	Stalled:               "check the network to the target, then: canton-backup backup",
	DumpTruncated:         "see the logs of the postgres-splice container",
	DumpStalled:           "see the logs of the postgres-splice container, and whether it is paused or its disk hangs",
	UploadFailed:          "check the targets with: canton-backup doctor",
	RequestRefused:        "check the target's settings with: canton-backup doctor",
	SetNotFound:           "list the sets with: canton-backup list",
	RestoreRefused:        "read what stands against it: canton-backup restore --plan; then --override each gate that you answer for",
	RestoreDiffers:        "restore another set, and: canton-backup verify",
	KeysDiffer:            "do not rely on this set: make another with: canton-backup backup, and drill that one",
	SwapFailed:            "look for a program that works on the node's databases, then restore again",
	LoadFailed:            "see the server's words; try another set, and: canton-backup verify",
	ContentDiffers:        "do not rely on this set: make another with: canton-backup backup, and drill that one",
	NotApproved:           "start it again, and approve it in time",
	BadRequest:            "see: canton-backup restore --help",
	BundleNotFound:        "put the node's bundle where it was, or start the node once from where it is now",
	ScriptFailed:          "read what the script said; Scan must answer from this host",
	NodeRuns:              "stop the node's containers by hand: docker ps",
	NodeUnhealthy:         "docker logs of the container that is named",
	DatabaseInUse:         "end the program that connects to the node's database",
	RecipientInvalid:      "mend AGE_RECIPIENTS or GPG_PUBLIC_KEYS, see docs/how-to/encryption.md; check with: canton-backup doctor",
	EncryptionRequired:    "set ENCRYPTION=age or gpg, or leave REQUIRE_ENCRYPTION out",
	KeyMissing:            "lend the private key on the node's host: canton-backup unlock FILE, then start it again",
	KeyWrong:              "find the private key of one of the public keys that are named, then: canton-backup unlock FILE",
	KeyLocked:             "canton-backup unlock FILE asks for the passphrase; then start it again",
	UndoFailed:            "start the node by hand, the message says how",
}

// NextStep returns what the operator does about an error of that name.
func NextStep(name string) string {
	if step, ok := nextSteps[name]; ok {
		return step
	}
	return "see the run in the Temporal UI, then: canton-backup backup"
}

// classify returns the name of an error and whether trying again may help.
func classify(err error) (name string, retry bool) {
	var problems *config.Error
	if errors.As(err, &problems) {
		return ConfigInvalid, false
	}
	for _, r := range rules {
		if errors.Is(err, r.is) {
			return r.name, r.retry
		}
	}
	return StepFailed, true
}

// ErrorName returns the name under which the table knows a domain error.
func ErrorName(err error) string {
	name, _ := classify(err)
	return name
}

// mapped turns a domain error into what Temporal stores. Only its text goes: causes may hold what must not be stored.
func mapped(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); errors.Is(cause, errStopping) {
		err = cause
	} else if ctx.Err() != nil {
		return ctx.Err() // whatever broke, broke because the run was cancelled; Temporal knows that by this error
	}
	name, retry := classify(err)
	options := temporal.ApplicationErrorOptions{NonRetryable: !retry}
	var wait *notify.RetryError
	if errors.As(err, &wait) {
		options.NextRetryDelay = wait.After
	}
	return temporal.NewApplicationErrorWithOptions(err.Error(), name, options)
}
