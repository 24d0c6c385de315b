package health

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"canton-backup/internal/retention"
)

// Limits of the table below that settings do not move.
const (
	behindWarn  = 7 * 24 * time.Hour  // of a record time: a quarter of what a network keeps is gone (domain R17)
	stillWarn   = 6 * time.Hour       // of a record time against its own set: the participant hears nothing from its network
	staleWarn   = 7 * 24 * time.Hour  // of identities that are carried on
	expiryWarn  = 30 * 24 * time.Hour // of a public key
	runsTooLong = 2                   // intervals
	watchLimit  = time.Hour           // without a look of the watchdog, which takes four in that time
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
	// blind: what this kind is judged by could not be seen, so that its absence proves nothing. nil: it always can be.
	blind func(Report) bool
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
	{Code: "settings-invalid", Verdict: Failed, Told: true, find: settingsInvalid,
		Meaning: "toolkit.conf cannot be used: the next backup will fail, and of what else may be wrong little is known.",
		Next:    "canton-backup config check"},
	{Code: "schedule-missing", Verdict: Failed, Told: true, find: scheduleMissing, blind: noSchedule, Follows: []string{"no-worker"},
		Meaning: "Temporal has no schedule for this node's backups: somebody deleted it.",
		Next:    "canton-backup schedule apply"},
	{Code: "schedule-paused", Verdict: Failed, Told: true, find: schedulePaused, blind: noSchedule,
		Meaning: "The schedule of backups is paused: none is made until it is resumed.",
		Next:    "canton-backup schedule resume"},
	{Code: "next-run-far", Verdict: Failed, Told: true, find: nextRunFar, blind: noSchedule,
		Meaning: "The next backup is more than two BACKUP_EVERY away: the clock was set back, or the schedule is not what the settings say.",
		Next:    "timedatectl; then canton-backup schedule apply, and restart the worker"},
	{Code: "watchdog-off", Verdict: Failed, find: watchdogOff, blind: noSchedule, Follows: []string{"no-worker"},
		Meaning: "The watchdog does not look: its schedule is missing or paused, or it has not looked for an hour. The next backup tells so.",
		Next:    "canton-backup schedule apply; then look at watch-<node> in the Temporal UI"},
	{Code: "no-verified-set", Verdict: Failed, Told: true, find: noVerifiedSet, blind: Report.unseen, Follows: []string{"no-worker", "schedule-missing", "schedule-paused", "place-unreadable", "Backup/"},
		Meaning: "No place holds a set whose pair is proven and whose files are all there.",
		Next:    "canton-backup backup; if it fails, docs/runbooks/backup-failed.md"},
	{Code: "set-too-old", Verdict: Failed, Told: true, find: setTooOld, blind: Report.unseen, Follows: []string{"no-worker", "schedule-missing", "schedule-paused", "run-too-long", "Backup/"},
		Meaning: "The newest verified set is older than one and a half BACKUP_EVERY.",
		Next:    "docs/runbooks/backup-old.md"},
	{Code: "off-host-too-old", Verdict: Failed, Told: true, find: offHostTooOld, blind: Report.unseen, Follows: []string{"no-worker", "schedule-missing", "schedule-paused", "no-verified-set", "set-too-old", "place-unreadable", "Backup/"},
		Meaning: "Sets are made, and none of that age has reached a target: a lost host loses them.",
		Next:    "canton-backup doctor, then canton-backup backup"},
	{Code: "place-unreadable", Verdict: Failed, Told: true, find: placeUnreadable, blind: noSettings, Follows: []string{"Backup/Upload/"},
		Meaning: "This host's sets, or a target, cannot be listed.",
		Next:    "canton-backup doctor"},
	{Code: "set-damaged", Verdict: Failed, Told: true, find: setDamaged, blind: Report.unseen,
		Meaning: "A place holds a set with a file missing or of another size, a manifest that cannot be read, or a set dated in the future.",
		Next:    "canton-backup verify, then canton-backup backup"},
	{Code: "disk-full", Verdict: Failed, Told: true, find: diskFull, blind: noDisk,
		Meaning: "The next set does not fit on the disk of BACKUP_DIR: the next backup will fail.",
		Next:    "docs/runbooks/disk-full.md"},
	{Code: "disk-low", Verdict: Warning, Told: true, find: diskLow, blind: noDisk,
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
	{Code: "run-too-long", Verdict: Warning, Told: true, find: runTooLong, blind: noSchedule, Follows: []string{"Backup/start/", "Drill/start/"},
		Meaning: "What works on the node has done so for longer than two BACKUP_EVERY: no backup is made until it ends.",
		Next:    "look at the run in the Temporal UI; cancel it there if it hangs"},
	{Code: "pair-unproven", Verdict: Warning, find: pairUnproven,
		Meaning: "The newest set's dumps could not be proven to belong together.",
		Next:    "canton-backup show latest, then docs/reference/checks.md"},
	{Code: "record-time", Verdict: Failed, Told: true, find: recordTime, blind: Report.unseen,
		Meaning: "The participant hears nothing from its network: its newest record time stands still. FAILED from 7 days on; after 30 the node cannot catch up.",
		Next:    "docs/runbooks/record-time.md"},
	{Code: "drill-failed", Verdict: Failed, find: drillFailed,
		Meaning: "The newest drill found that a set does not restore. The drill has told so.",
		Next:    "docs/runbooks/drill-failed.md"},
	{Code: "drill-due", Verdict: Warning, Told: true, find: drillDue, blind: Report.unseen, Follows: []string{"no-worker", "no-verified-set", "set-too-old", "Drill/"},
		Meaning: "No drill has proven for two DRILL_EVERY that a set restores, or the schedule of drills is missing or paused.",
		Next:    "canton-backup drill"},
	{Code: "drill-unproven", Verdict: Warning, find: drillUnproven,
		Meaning: "The newest drill loaded its set, and could not prove it equal to what was dumped.",
		Next:    "canton-backup drill, then docs/runbooks/drill-failed.md"},
	{Code: "no-identities", Verdict: Warning, find: noIdentities,
		Meaning: "The newest set holds none of the node's identities, or old ones that were carried on for a week.",
		Next:    "docs/how-to/identities.md"},
	{Code: "no-alert-channel", Verdict: Warning, find: noAlertChannel,
		Meaning: "No channel is set up: nobody hears of anything.",
		Next:    "set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or another of docs/how-to/alerts.md"},
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
		if k.Told && !slices.ContainsFunc(k.Follows, func(of string) bool { return r.stands(of, p) }) {
			told = append(told, p)
		}
	}
	return told
}

// Lasting are the keys of the problems that are not over: those that stand, and of the remembered ones those of which it cannot be seen.
func (r Report) Lasting(remembered []string) []string {
	var keys []string
	for _, p := range r.Problems {
		keys = append(keys, p.Key())
	}
	for _, key := range remembered {
		code, _, _ := strings.Cut(key, "/")
		if k, known := KindOf(code); known && k.blind != nil && k.blind(r) && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// stands: a problem of that kind does, or runs tell a cause whose key begins so, of which p is a consequence. A cause that occurred in no run for a
// while explains nothing any more: if runs have stopped since, nobody else will tell. Nor does one of the future, which a clock that was wrong left, or
// one that nobody was told of.
func (r Report) stands(of string, p Problem) bool {
	if !strings.HasSuffix(of, "/") {
		return slices.ContainsFunc(r.Problems, func(other Problem) bool { return other.Code == of })
	}
	return slices.ContainsFunc(r.Alerts, func(a Told) bool {
		age := r.At.Sub(a.Last)
		explains := p.Code != "place-unreadable" || p.Subject != Local && (len(r.Places) == 2 || strings.Contains(a.Key, p.Subject))
		return strings.HasPrefix(a.Key, of) && explains && a.Delivered && age > -retention.Skew && age < seconds(r.FreshS)
	})
}

func rank(v Verdict) int { return slices.Index([]Verdict{OK, Warning, Failed}, v) }
