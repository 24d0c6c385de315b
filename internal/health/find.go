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

func one(detail string, args ...any) []finding {
	return []finding{{detail: fmt.Sprintf(detail, args...)}}
}

func noWorker(r Report) []finding {
	if r.Worker == Running {
		return nil
	}
	return one("%s", r.Worker)
}

func noSchedule(r Report) bool { return r.Schedule == nil || noSettings(r) }
func noSettings(r Report) bool { return r.SettingsError != "" }

// noDisk: while a run works, what it staged is on the disk, and it looks after the room that it needs by itself.
func noDisk(r Report) bool { return r.Disk == nil || r.Running != nil }

func settingsInvalid(r Report) []finding {
	if r.SettingsError == "" {
		return nil
	}
	return one("%s", r.SettingsError)
}

func nextRunFar(r Report) []finding {
	if noSchedule(r) || r.Schedule.Paused || len(r.Schedule.Next) == 0 || r.EveryS == 0 {
		return nil
	}
	if away := r.Schedule.Next[0].Sub(r.At); away > 2*seconds(r.EveryS) {
		return one("the next backup begins in %s, although one is due every %s", Age(away), Age(seconds(r.EveryS)))
	}
	return nil
}

func watchdogOff(r Report) []finding {
	switch age := r.At.Sub(r.WatchedAt); {
	case r.Watch == nil || r.WatchedAt.IsZero() || noSettings(r):
		return nil
	case r.Watch.Missing:
		return one("schedule %s is not there", r.Watch.ID)
	case r.Watch.Paused:
		return one("schedule %s is paused: %s", r.Watch.ID, cmp.Or(r.Watch.Note, "no reason given"))
	case age > watchLimit:
		return one("it last looked %s ago", Age(age))
	}
	return nil
}

func noAlertChannel(r Report) []finding {
	if !r.Unalerted {
		return nil
	}
	return one("nobody hears of a backup that fails")
}

func scheduleMissing(r Report) []finding {
	if noSchedule(r) || !r.Schedule.Missing {
		return nil
	}
	return one("schedule %s is not there", r.Schedule.ID)
}

func schedulePaused(r Report) []finding {
	if noSchedule(r) || !r.Schedule.Paused {
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
	if noDisk(r) || r.Disk.Room() > 0 {
		return nil
	}
	return one("%s", r.Disk.words())
}

func diskLow(r Report) []finding {
	if noDisk(r) || r.Disk.Room() == 0 || r.Disk.Room() >= 3 {
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
	run := r.LastRun
	if run == nil || run.Status == "Completed" || run.Status == "Canceled" {
		return nil
	}
	return one("the run of %s: %s", run.Started.UTC().Format(time.DateTime+" UTC"), run.Status)
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
	// A drill's record goes with its set, so that with a short retention the schedule is all there is to judge by.
	if r.Drills != nil && r.Drills.Missing {
		return one("schedule %s is not there: canton-backup schedule apply", r.Drills.ID)
	}
	if r.Drills != nil && r.Drills.Paused {
		return one("schedule %s is paused: %s", r.Drills.ID, cmp.Or(r.Drills.Note, "no reason given"))
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
