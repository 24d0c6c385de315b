package reports

import (
	"slices"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
)

// Bad is a report of a node in which most of what can be wrong is wrong. It is judged.
func Bad() health.Report {
	r := Good()
	r.Sets = r.Sets[7:]
	r.Sets[0].Verdict, r.Sets[0].Checks[1].Verdict, r.Sets[0].Checks[1].Detail = backupset.Unknown, backupset.Unknown, "no row in lapi_parameters"
	r.Sets[2].Damaged, r.Sets[2].Places = []string{"rsync"}, []string{"local", "r2"}
	good := r.Sets[1].Set
	r.LastGood = &health.Good{Set: good, AgeS: int64(r.At.Sub(good.Time()).Seconds()), Places: []string{"local", "r2"}, OffHost: good, OffHostAgeS: int64(r.At.Sub(good.Time()).Seconds())}
	for i := range r.Places {
		r.Places[i].LastGood, r.Places[i].AgeS, r.Places[i].Sets = good, r.LastGood.AgeS, 35
	}
	r.Places[1].Error, r.Places[1].LastGood = "ssh ubuntu@203.0.113.10: connect to host 203.0.113.10 port 22: Connection refused", ""
	r.Places[2].Faults = []string{"set 20261126_160000: participant_20261126_160000.sql.zst.age is 1.2 GiB instead of 1.4 GiB"}
	r.Places[0].Plain = 3
	r.Schedule.Paused, r.Schedule.Note = true, "maintenance of the host"
	r.Disk.Free = 21 * gib
	r.Identity = &health.Identity{Set: r.Sets[0].Set, State: "NONE"}
	r.Drill.Verdict, r.Drill.Problem, r.Drill.Detail = backupset.Unknown, "", "table validator.store_last_ingested_offsets was written to while it was read"
	closed := r.Runs[0].Started.Add(40 * time.Second)
	r.Runs[0].Status, r.Runs[0].Closed, r.Runs[0].Set = "Failed", &closed, ""
	r.Alerts = []health.Told{
		{Key: "Backup/Upload/rsync", Headline: "Backup failed at Upload: connection refused", First: r.At.Add(-27 * time.Hour), Last: r.At.Add(-3 * time.Hour), Times: 7, Delivered: true},
		{Key: "watch/schedule-paused", Headline: "The schedule of backups is paused", First: r.At.Add(-26 * time.Hour), Last: r.At.Add(-2 * time.Hour), Times: 2, Undelivered: "telegram: 502 Bad Gateway"},
	}
	expires := r.At.AddDate(0, 0, 12)
	r.Keys[0].Expires = &expires
	return health.Judge(r)
}

// Hostile is a report whose every text is what an attacker would write there: set names and times alone are kept from that by their types.
func Hostile(text string) health.Report {
	r := Bad()
	r.Sets = r.Sets[:6]
	r.Node, r.Network, r.Program, r.Worker, r.KeyError, r.RunsURL = text, text, text, text, text, text
	r.Running = &health.Run{ID: text, RunID: text, Type: text, Started: r.At.Add(-time.Minute), Status: text, Line: text, Set: text, URL: text}
	r.Schedule.ID, r.Schedule.Note, r.Drills.ID, r.Drills.Note, r.Drills.Paused = text, text, text, text, true
	r.Drill.From, r.Drill.Problem, r.Drill.Detail = text, text, text
	for i := range r.Places {
		p := &r.Places[i]
		p.Name, p.Location = text, text
	}
	r.Places[1].Error, r.Places[2].Faults = text, []string{text, text}
	r.LastGood.Places = []string{text, text}
	for i := range r.Sets {
		s := &r.Sets[i]
		s.Encryption, s.Pinned, s.Reason, s.RunURL, s.Synchronizer = text, text, text, text, text
		s.Places, s.Damaged = []string{text}, []string{text}
		s.Checks = slices.Clone(s.Checks)
		for j := range s.Checks {
			s.Checks[j].Name, s.Checks[j].Detail = text, text
		}
		s.Checks[0].Verdict, s.Drilled = backupset.Verdict(text), backupset.Verdict(text)
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		run.ID, run.RunID, run.Type, run.Status, run.Line, run.Set, run.URL = text, text, text, text, text, text, text
	}
	for i := range r.Alerts {
		a := &r.Alerts[i]
		a.Key, a.Headline, a.Undelivered = text, text, text
	}
	for i := range r.Keys {
		r.Keys[i].Fingerprint = text
	}
	return health.Judge(r)
}
