package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"canton-backup/internal/backupset"
	"canton-backup/internal/restore"
)

// Limits of the table below that settings do not move.
const (
	behindWarn  = 7 * 24 * time.Hour  // of a record time: a quarter of what a network keeps is gone (domain R17)
	stillWarn   = 6 * time.Hour       // of a record time against its own set: the participant hears nothing from its network
	staleWarn   = 7 * 24 * time.Hour  // of identities that are carried on
	expiryWarn  = 30 * 24 * time.Hour // of a public key
	runsTooLong = 2                   // intervals
)

// Kind is a row of the table of problems.
type Kind struct {
	Code    string
	Verdict Verdict // the worst that it can be
	Meaning string  // when it stands, for docs/reference/problems.md
	Next    string  // what to do, one line
	// Told: the watchdog tells the operator of it. The others are told by the run that finds them, or are for the eye.
	Told bool
	// Follows names that of which this one is a consequence: kinds, and with a slash at the end causes that runs told ("Backup/"). While
	// one of them stands, this one is not told beside it.
	Follows []string
	find    func(Report) []finding
}

// finding is a problem before the table completes it.
type finding struct {
	subject string
	verdict Verdict // empty: the kind's
	detail  string
}

// Kinds is the table of problems, the one judgement of a report, most urgent first.
var Kinds = []Kind{
	{Code: "no-worker", Verdict: Failed, Told: true, find: noWorker,
		Meaning: "The node's worker, or its Temporal, does not answer: no backup is made.",
		Next:    "systemctl status canton-backup-worker, then docs/runbooks/worker-down.md"},
	{Code: "schedule-missing", Verdict: Failed, Told: true, find: scheduleMissing, Follows: []string{"no-worker"},
		Meaning: "Temporal has no schedule for this node's backups: somebody deleted it.",
		Next:    "canton-backup schedule apply"},
	{Code: "schedule-paused", Verdict: Failed, Told: true, find: schedulePaused,
		Meaning: "The schedule of backups is paused: none is made until it is resumed.",
		Next:    "canton-backup schedule resume"},
	{Code: "no-verified-set", Verdict: Failed, Told: true, find: noVerifiedSet, Follows: []string{"no-worker", "schedule-missing", "schedule-paused", "place-unreadable", "Backup/"},
		Meaning: "No place holds a set whose pair is proven and whose files are all there.",
		Next:    "canton-backup backup; if it fails, docs/runbooks/backup-failed.md"},
	{Code: "set-too-old", Verdict: Failed, Told: true, find: setTooOld, Follows: []string{"no-worker", "schedule-missing", "schedule-paused", "run-too-long", "Backup/"},
		Meaning: "The newest verified set is older than one and a half BACKUP_EVERY.",
		Next:    "docs/runbooks/backup-old.md"},
	{Code: "off-host-too-old", Verdict: Failed, Told: true, find: offHostTooOld, Follows: []string{"no-worker", "schedule-missing", "schedule-paused", "no-verified-set", "set-too-old", "place-unreadable", "Backup/"},
		Meaning: "Sets are made, and none of that age has reached a target: a lost host loses them.",
		Next:    "canton-backup doctor, then canton-backup backup"},
	{Code: "place-unreadable", Verdict: Failed, Told: true, find: placeUnreadable, Follows: []string{"Backup/Upload/"},
		Meaning: "This host's sets, or a target, cannot be listed.",
		Next:    "canton-backup doctor"},
	{Code: "set-damaged", Verdict: Failed, Told: true, find: setDamaged,
		Meaning: "A place holds a set with a file missing or of another size, a manifest that cannot be read, or a set dated in the future.",
		Next:    "canton-backup verify, then canton-backup backup"},
	{Code: "disk-full", Verdict: Failed, Told: true, find: diskFull,
		Meaning: "The next set does not fit on the disk of BACKUP_DIR: the next backup will fail.",
		Next:    "docs/runbooks/disk-full.md"},
	{Code: "disk-low", Verdict: Warning, Told: true, find: diskLow,
		Meaning: "Fewer than three more sets fit on the disk of BACKUP_DIR.",
		Next:    "docs/runbooks/disk-full.md"},
	{Code: "key-unusable", Verdict: Failed, find: keyUnusable,
		Meaning: "Nothing can be encrypted to the public keys of the settings: the next backup will fail.",
		Next:    "mend AGE_RECIPIENTS or GPG_PUBLIC_KEYS, see docs/how-to/encryption.md"},
	{Code: "key-expires", Verdict: Warning, find: keyExpires,
		Meaning: "A public key expires within 30 days; no backup is made after that. Runs tell of it 30, 7 and 1 days before.",
		Next:    "extend the key and export it anew, see docs/how-to/encryption.md"},
	{Code: "last-run-failed", Verdict: Failed, find: lastRunFailed,
		Meaning: "The newest backup that ended did not make a set. The run has told why.",
		Next:    "docs/runbooks/backup-failed.md"},
	{Code: "run-too-long", Verdict: Warning, Told: true, find: runTooLong,
		Meaning: "What works on the node has done so for longer than two BACKUP_EVERY: no backup is made until it ends.",
		Next:    "look at the run in the Temporal UI; cancel it there if it hangs"},
	{Code: "pair-unproven", Verdict: Warning, find: pairUnproven,
		Meaning: "The newest set's dumps could not be proven to belong together.",
		Next:    "canton-backup show latest, then docs/reference/checks.md"},
	{Code: "record-time", Verdict: Failed, Told: true, find: recordTime,
		Meaning: "The participant hears nothing from its network: its newest record time stands still. FAILED from 7 days on; after 30 the node cannot catch up.",
		Next:    "docs/runbooks/record-time.md"},
	{Code: "drill-failed", Verdict: Failed, find: drillFailed,
		Meaning: "The newest drill found that a set does not restore. The drill has told so.",
		Next:    "docs/runbooks/drill-failed.md"},
	{Code: "drill-due", Verdict: Warning, Told: true, find: drillDue, Follows: []string{"no-worker", "no-verified-set", "set-too-old", "Drill/"},
		Meaning: "No drill has proven for two DRILL_EVERY that a set restores.",
		Next:    "canton-backup drill"},
	{Code: "drill-unproven", Verdict: Warning, find: drillUnproven,
		Meaning: "The newest drill loaded its set, and could not prove it equal to what was dumped.",
		Next:    "canton-backup drill, then docs/runbooks/drill-failed.md"},
	{Code: "no-identities", Verdict: Warning, find: noIdentities,
		Meaning: "The newest set holds none of the node's identities, or old ones that were carried on for a week.",
		Next:    "docs/how-to/identities.md"},
	{Code: "alert-undelivered", Verdict: Warning, find: alertUndelivered,
		Meaning: "An alert did not reach a channel.",
		Next:    "canton-backup notify test"},
}

// KindOf returns the row of that code, false when there is none.
func KindOf(code string) (Kind, bool) {
	for _, k := range Kinds {
		if k.Code == code {
			return k, true
		}
	}
	return Kind{}, false
}

// Judge completes a report with its problems and verdict. It depends on nothing but the report.
func Judge(r Report) Report {
	r.Verdict, r.Problems = OK, nil
	for _, k := range Kinds {
		for _, f := range k.find(r) {
			r.Problems = append(r.Problems, Problem{Code: k.Code, Subject: f.subject, Verdict: cmp.Or(f.verdict, k.Verdict), Detail: f.detail, Next: k.Next})
		}
	}
	// The table is in order of urgency, and a FAILED comes before any WARNING.
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return rank(b.Verdict) - rank(a.Verdict) })
	if len(r.Problems) > 0 {
		r.Verdict = r.Problems[0].Verdict
	}
	return r
}

// ToTell are the problems that the watchdog tells: without those that follow from another that stands, or from a cause that runs tell.
func (r Report) ToTell() []Problem {
	var told []Problem
	for _, p := range r.Problems {
		k, _ := KindOf(p.Code)
		if k.Told && !slices.ContainsFunc(k.Follows, r.stands) {
			told = append(told, p)
		}
	}
	return told
}

// stands: a problem of that kind does, or runs tell a cause whose key begins so. A cause that occurred in no run for a while explains nothing any
// more: if runs have stopped since, nobody else will tell.
func (r Report) stands(of string) bool {
	if !strings.HasSuffix(of, "/") {
		return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Code == of })
	}
	return slices.ContainsFunc(r.Alerts, func(a Told) bool { return strings.HasPrefix(a.Key, of) && r.At.Sub(a.Last) < seconds(r.FreshS) })
}

func rank(v Verdict) int { return slices.Index([]Verdict{OK, Warning, Failed}, v) }

func one(detail string, args ...any) []finding {
	return []finding{{detail: fmt.Sprintf(detail, args...)}}
}

func noWorker(r Report) []finding {
	if r.Worker == Running {
		return nil
	}
	return one("%s", r.Worker)
}

func scheduleMissing(r Report) []finding {
	if r.Schedule == nil || !r.Schedule.Missing {
		return nil
	}
	return one("schedule %s is not there", r.Schedule.ID)
}

func schedulePaused(r Report) []finding {
	if r.Schedule == nil || !r.Schedule.Paused {
		return nil
	}
	return one("schedule %s is paused: %s", r.Schedule.ID, cmp.Or(r.Schedule.Note, "no reason given"))
}

func noVerifiedSet(r Report) []finding {
	if r.LastGood != nil || len(r.Places) == 0 || r.unseen() {
		return nil
	}
	sets := 0
	for _, p := range r.Places {
		sets = max(sets, p.Sets)
	}
	if sets == 0 && r.Running != nil && r.Running.Type == "BackupNode" {
		return nil // the first one is being made
	}
	return one("%d set(s) in all, none of them verified", sets)
}

// unseen: a place was not looked at yet, or cannot be, so that of no set it can be said that it is nowhere.
func (r Report) unseen() bool {
	return slices.ContainsFunc(r.Places, func(p Place) bool { return p.SeenAt.IsZero() || p.Error != "" })
}

func setTooOld(r Report) []finding {
	if r.LastGood == nil || r.LastGood.AgeS <= r.FreshS {
		return nil
	}
	return one("the newest verified set is %s, %s old", r.LastGood.Set, Age(seconds(r.LastGood.AgeS)))
}

func offHostTooOld(r Report) []finding {
	if len(r.Places) < 2 || r.LastGood == nil {
		return nil
	}
	if r.LastGood.OffHost == "" {
		if r.unseen() {
			return nil
		}
		return one("no target holds a verified set")
	}
	if r.LastGood.OffHostAgeS <= r.FreshS {
		return nil
	}
	return one("the newest verified set at a target is %s, %s old", r.LastGood.OffHost, Age(seconds(r.LastGood.OffHostAgeS)))
}

func placeUnreadable(r Report) []finding {
	var found []finding
	for _, p := range r.Places {
		if p.Error != "" {
			found = append(found, finding{subject: p.Name, detail: p.Error})
		}
	}
	return found
}

func setDamaged(r Report) []finding {
	var found []finding
	for _, p := range r.Places {
		if len(p.Faults) > 0 {
			found = append(found, finding{subject: p.Name, detail: strings.Join(p.Faults, "; ")})
		}
	}
	return found
}

// Room is how many more sets fit, 0 when the next one does not. The reserve is never used.
func (d Disk) Room() int64 {
	left := d.Free - d.Reserve
	if left < d.Need || left <= 0 {
		return 0
	}
	return left / max(d.Need, 1)
}

func diskFull(r Report) []finding {
	if r.Disk == nil || r.Disk.Room() > 0 {
		return nil
	}
	return one("%s", r.Disk.words())
}

func diskLow(r Report) []finding {
	if r.Disk == nil || r.Disk.Room() == 0 || r.Disk.Room() >= 3 {
		return nil
	}
	return one("%s", r.Disk.words())
}

func (d Disk) words() string {
	return fmt.Sprintf("%s free, the next set takes %s, %s stay reserved", size(d.Free), size(d.Need), size(d.Reserve))
}

func keyUnusable(r Report) []finding {
	if r.KeyError == "" {
		return nil
	}
	return one("%s", r.KeyError)
}

func keyExpires(r Report) []finding {
	var found []finding
	for _, k := range r.Keys {
		if k.Expires != nil && k.Expires.Sub(r.At) < expiryWarn {
			found = append(found, finding{subject: k.Fingerprint, detail: fmt.Sprintf("public key %s expires on %s", k.Fingerprint, k.Expires.UTC().Format(time.DateOnly))})
		}
	}
	return found
}

func lastRunFailed(r Report) []finding {
	for _, run := range r.Runs {
		if run.Closed == nil {
			continue
		}
		if run.Status == "Completed" || run.Status == "Canceled" || run.Status == "ContinuedAsNew" {
			return nil
		}
		return one("run %s of %s: %s", run.ID, run.Started.UTC().Format(time.DateTime+" UTC"), run.Status)
	}
	return nil
}

func runTooLong(r Report) []finding {
	if r.Running == nil || r.EveryS == 0 || r.At.Sub(r.Running.Started) < runsTooLong*seconds(r.EveryS) {
		return nil
	}
	return one("%s has run since %s", r.Running.Type, r.Running.Started.UTC().Format(time.DateTime+" UTC"))
}

func pairUnproven(r Report) []finding {
	if len(r.Sets) == 0 || r.Sets[0].Verdict == backupset.Pass {
		return nil
	}
	return one("set %s: %s", r.Sets[0].Set, r.Sets[0].Verdict)
}

func recordTime(r Report) []finding {
	t := r.RecordTime()
	if t == nil {
		return nil
	}
	behind := r.At.Sub(*t)
	if behind > behindWarn {
		return []finding{{verdict: Failed, detail: fmt.Sprintf("the newest set's record time is %s, %s ago; after %s the network keeps too little for the node to catch up",
			t.UTC().Format(time.DateTime+" UTC"), Age(behind), Age(restore.MaxAge))}}
	}
	if still := r.LastGood.Set.Time().Sub(*t); still > stillWarn {
		return []finding{{verdict: Warning, detail: fmt.Sprintf("the participant's record time was %s old when set %s was made", Age(still), r.LastGood.Set)}}
	}
	return nil
}

func drillFailed(r Report) []finding {
	if r.Drill == nil || r.Drill.Verdict != backupset.Fail {
		return nil
	}
	return one("set %s of %s: %s: %s", r.Drill.Set, r.Drill.From, r.Drill.Problem, r.Drill.Detail)
}

func drillDue(r Report) []finding {
	limit := 2 * seconds(r.DrillS)
	if limit == 0 {
		return nil
	}
	if r.Drill != nil {
		if age := r.At.Sub(r.Drill.Finished); age > limit {
			return one("the last drill was %s ago", Age(age))
		}
		return nil
	}
	if len(r.Sets) == 0 || r.At.Sub(r.Sets[len(r.Sets)-1].Set.Time()) <= limit {
		return nil // a young node: its first drill is still to come
	}
	return one("no drill is on record here")
}

func drillUnproven(r Report) []finding {
	if r.Drill == nil || r.Drill.Verdict != backupset.Unknown {
		return nil
	}
	return one("set %s of %s: %s", r.Drill.Set, r.Drill.From, r.Drill.Detail)
}

func noIdentities(r Report) []finding {
	switch i := r.Identity; {
	case i == nil:
		return nil
	case i.State == "NONE":
		return one("set %s holds none", i.Set)
	case i.TakenAt != nil && r.At.Sub(*i.TakenAt) > staleWarn:
		return one("those of set %s were taken %s ago", i.Set, Age(r.At.Sub(*i.TakenAt)))
	}
	return nil
}

func alertUndelivered(r Report) []finding {
	var found []finding
	for _, a := range r.Alerts {
		if a.Undelivered != "" {
			found = append(found, finding{subject: a.Key, detail: a.Undelivered})
		}
	}
	return found
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// Age writes a duration for people: "3 d 4 h", "5 h 20 min", "12 min", "40 s".
func Age(d time.Duration) string {
	switch d = d.Abs().Round(time.Second); {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	default:
		return fmt.Sprintf("%d s", d/time.Second)
	}
}
