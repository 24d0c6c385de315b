// Package health answers the operator's question "could I restore, and to when?": one report of a node's backups, and one table that
// judges it. Status page, /healthz, metrics, `status` and the watchdog all say what it says.
package health

import (
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/notify"
	"canton-backup/internal/restore"
)

// Verdict is how a report, or a problem in it, is to be taken. Its words are those of `doctor`.
type Verdict string

// The verdicts, from good to bad.
const (
	OK      Verdict = "OK"
	Warning Verdict = "WARNING" // look at it today
	Failed  Verdict = "FAILED"  // look at it now: a restore may not be possible, or backups are not made
)

// Running is Report.Worker when the node's worker works.
const Running = "running"

// Report is what is known of a node's backups at one moment. It holds no secret. As JSON it is the contract of `status --json` and of
// /report.json; fields may be added.
type Report struct {
	Format   int       `json:"format"` // of this record: 1
	At       time.Time `json:"at"`
	Node     string    `json:"node"`
	Network  string    `json:"network"`
	Program  string    `json:"program"`
	Verdict  Verdict   `json:"verdict"`            // the worst of the problems'
	Problems []Problem `json:"problems,omitempty"` // worst first

	LastGood *Good     `json:"last_good,omitempty"`  // newest verified set in any place
	EveryS   int64     `json:"every_seconds"`        // interval of backups, BACKUP_EVERY
	FreshS   int64     `json:"fresh_seconds"`        // a newest verified set of this age is too old
	DrillS   int64     `json:"drill_every_seconds"`  // interval of drills, 0 for none
	Places   []Place   `json:"places"`               // this host first, then the targets in the order of BACKUP_TYPE
	Sets     []Set     `json:"sets,omitempty"`       // this node's sets, newest first, one entry for all copies of a set
	Disk     *Disk     `json:"disk,omitempty"`       // of BACKUP_DIR
	Drill    *Drill    `json:"drill,omitempty"`      // newest one that is recorded on this host
	Identity *Identity `json:"identities,omitempty"` // absent: IDENTITIES=off, or no set yet
	KMS      int64     `json:"kms_keys"`             // keys that the node keeps in a KMS, as of the newest set
	Keys     []Key     `json:"keys,omitempty"`       // public keys to which sets are encrypted
	KeyError string    `json:"key_error,omitempty"`  // why nothing can be encrypted to them

	Worker    string    `json:"worker"`             // "running", or why the node's worker cannot be reached
	Running   *Run      `json:"running,omitempty"`  // what holds the node's lock
	Schedule  *Schedule `json:"schedule,omitempty"` // of backups; absent: could not be asked, see Worker
	Drills    *Schedule `json:"drill_schedule,omitempty"`
	Runs      []Run     `json:"runs,omitempty"`           // backups, newest first
	LastRun   *Run      `json:"last_run,omitempty"`       // newest backup that ended and had the node to itself: what it came to
	Watch     *Schedule `json:"watch_schedule,omitempty"` // of the watchdog
	WatchedAt time.Time `json:"watched_at"`               // when the watchdog looked last, as far as this process knows
	RunsURL   string    `json:"runs_url,omitempty"`       // the node's runs in the Temporal UI, empty when it is not known where that is

	SettingsError string         `json:"settings_error,omitempty"` // why toolkit.conf cannot be used
	Unalerted     bool           `json:"unalerted,omitempty"`      // there is no channel to tell anything
	Alerts        []Told         `json:"alerts,omitempty"`         // what the operator was told, and is not over
	Kept          []restore.Kept `json:"kept,omitempty"`           // old databases that restores and rollbacks left on the node's server; `status` alone looks
}

// Problem is one thing that is not as it should be, see the table of problems.
type Problem struct {
	Code    string  `json:"code"`              // of the table, e.g. "set-too-old"
	Subject string  `json:"subject,omitempty"` // which one, where there are several: a place, a key
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"` // one sentence with the figures that decided
	Next    string  `json:"next"`   // what to do, one line
}

// Key names the problem among all: "set-too-old", "place-unreadable/rsync".
func (p Problem) Key() string {
	if p.Subject == "" {
		return p.Code
	}
	return p.Code + "/" + p.Subject
}

// Good is the newest verified set.
type Good struct {
	Set    backupset.ID `json:"set"`
	AgeS   int64        `json:"age_seconds"`
	Places []string     `json:"places"` // where it lies
	// OffHost: the newest verified set that a target holds, empty when none does or there is no target.
	OffHost     backupset.ID `json:"off_host,omitempty"`
	OffHostAgeS int64        `json:"off_host_age_seconds,omitempty"`
}

// Place is a store: this host or a target.
type Place struct {
	Name     string       `json:"store"` // "local", or the target's kind
	Location string       `json:"location"`
	LastGood backupset.ID `json:"last_good,omitempty"` // newest set whose pair is proven and whose files are all there
	AgeS     int64        `json:"age_seconds,omitempty"`
	Sets     int          `json:"sets"`
	Bytes    int64        `json:"bytes"`            // of this node's sets
	Plain    int          `json:"plain"`            // sets of this node that are not encrypted
	Faults   []string     `json:"faults,omitempty"` // damaged, unreadable or wrongly dated sets
	Error    string       `json:"error,omitempty"`
	SeenAt   time.Time    `json:"seen_at"` // when the place was looked at; a target is not asked at every look
}

// Set is one backup set, in all its copies.
type Set struct {
	Set          backupset.ID      `json:"set"`
	Verdict      backupset.Verdict `json:"verdict"`
	Checks       []backupset.Check `json:"checks"`
	Bytes        int64             `json:"bytes"`            // stored, all files
	DatabaseB    int64             `json:"database_bytes"`   // both databases on the server
	DurationS    float64           `json:"duration_seconds"` // from the run's begin to the manifest
	DumpS        DumpSeconds       `json:"dump_seconds"`
	Margin       *int64            `json:"offset_margin,omitempty"` // ledger end less the validator's offset; negative breaks law 2
	RecordTime   *time.Time        `json:"record_time,omitempty"`   // newest network time in it
	Encryption   string            `json:"encryption"`              // "none", "age", "gpg"
	Identities   bool              `json:"identities"`
	Places       []string          `json:"places"` // where it lies whole
	Damaged      []string          `json:"damaged,omitempty"`
	Pinned       string            `json:"pinned,omitempty"`
	Drilled      backupset.Verdict `json:"drilled,omitempty"` // of its newest drill, empty without one
	Reason       string            `json:"reason,omitempty"`
	RunURL       string            `json:"run_url,omitempty"` // its run in the Temporal UI, while Temporal remembers it
	Synchronizer string            `json:"synchronizer,omitempty"`
}

// DumpSeconds is how long each dump took.
type DumpSeconds struct {
	Validator   float64 `json:"validator"`
	Participant float64 `json:"participant"`
}

// Disk is what is left of the disk of BACKUP_DIR, in bytes.
type Disk struct {
	Free    int64 `json:"free"`
	Total   int64 `json:"total"`
	Need    int64 `json:"need"`    // what the next set takes
	Reserve int64 `json:"reserve"` // never used: the disk is often the database's own
}

// Drill is the record of a drill, as it lies beside the manifest.
type Drill struct {
	Drill    backupset.ID      `json:"drill"` // when it began
	Set      backupset.ID      `json:"set"`
	From     string            `json:"from"` // the place whose copy was restored
	Verdict  backupset.Verdict `json:"verdict"`
	Problem  string            `json:"problem,omitempty"`
	Detail   string            `json:"detail,omitempty"`
	Tables   int               `json:"tables"`
	Rows     int64             `json:"rows"`
	FetchS   float64           `json:"fetch_s"`
	LoadS    float64           `json:"load_s"`
	VerifyS  float64           `json:"verify_s"`
	Finished time.Time         `json:"finished"`
}

// RestoreS is how long a restore takes by this drill, in seconds, from the first byte fetched to the databases loaded.
func (d Drill) RestoreS() float64 { return d.FetchS + d.LoadS }

// Identity is what the newest set on this host holds of the node's identities.
type Identity struct {
	Set     backupset.ID `json:"set"`
	State   string       `json:"state"` // OK, STALE: of an earlier set, NONE
	TakenAt *time.Time   `json:"taken_at,omitempty"`
}

// Key is a public key that sets are encrypted to.
type Key struct {
	Fingerprint string     `json:"fingerprint"`
	Expires     *time.Time `json:"expires,omitempty"`
}

// Run is a workflow.
type Run struct {
	ID      string     `json:"id"`
	RunID   string     `json:"run_id"`
	Type    string     `json:"type"`
	Started time.Time  `json:"started"`
	Closed  *time.Time `json:"closed,omitempty"`
	Status  string     `json:"status"`         // Temporal's word: Running, Completed, Failed, …
	Line    string     `json:"line,omitempty"` // of a running one: its newest log line
	Set     string     `json:"set,omitempty"`  // its set, when it is searchable
	URL     string     `json:"url,omitempty"`  // in the Temporal UI
}

// Schedule is a schedule of the node.
type Schedule struct {
	ID      string        `json:"id"`
	Missing bool          `json:"missing,omitempty"` // Temporal has no such schedule
	Every   time.Duration `json:"every"`             // nanoseconds
	Paused  bool          `json:"paused"`
	Note    string        `json:"note,omitempty"`
	Next    []time.Time   `json:"next"`
	Missed  int           `json:"missed"` // runs that no worker was there for
}

// Told is a cause of which the operator was told, and which is not over.
type Told = notify.Told

// PathsToRecovery are the three ways to get a lost node's assets back: a verified set, the identities, keys in a KMS (domain R26).
type PathsToRecovery struct{ Databases, Identities, KMS bool }

// Available counts the paths that are open, of three.
func (p PathsToRecovery) Available() int {
	n := 0
	for _, open := range []bool{p.Databases, p.Identities, p.KMS} {
		if open {
			n++
		}
	}
	return n
}

// Paths tells which recovery paths are open.
func (r Report) Paths() PathsToRecovery {
	var p PathsToRecovery
	p.Databases = r.LastGood != nil && !r.tooBehind()
	p.Identities = r.Identity != nil && r.Identity.State != "NONE"
	p.KMS = r.KMS > 0
	return p
}

// RecordTime is the newest network time in the newest verified set, nil when it is not known. A participant that is more than 30 days
// behind cannot catch up (domain R17), so its age against restore.MaxAge is how long the set still is of use.
func (r Report) RecordTime() *time.Time {
	if r.LastGood == nil {
		return nil
	}
	for _, s := range r.Sets {
		if s.Set == r.LastGood.Set {
			return s.RecordTime
		}
	}
	return nil
}

func (r Report) tooBehind() bool {
	t := r.RecordTime()
	return t != nil && r.At.Sub(*t) > restore.MaxAge
}
