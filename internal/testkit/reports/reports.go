// Package reports makes reports of a node's health for tests of what shows them.
package reports

import (
	"fmt"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
)

// Now is when the reports of this package are made, unless a test moves them.
var Now = time.Date(2026, time.November, 28, 8, 12, 0, 0, time.UTC)

const (
	gib = 1 << 30
	mib = 1 << 20
)

// Good is a report of a node with two targets and a week of sets, in which nothing is wrong. It is judged.
func Good() health.Report { return GoodAt(Now) }

// GoodAt is Good with all its times moved, so that it is of now.
func GoodAt(now time.Time) health.Report {
	newest := now.Add(-12 * time.Minute).Truncate(time.Second)
	places := []string{"local", "rsync", "r2"}
	r := health.Report{Format: 1, At: now, Node: "validator-1", Network: "mainnet", Program: "v1.4.0", EveryS: 4 * 3600, FreshS: 6 * 3600, DrillS: 7 * 24 * 3600,
		Worker: health.Running, KMS: 0, RunsURL: "http://127.0.0.1:8233/namespaces/default/workflows",
		Disk:     &health.Disk{Free: 212 * gib, Total: 480 * gib, Need: 4 * gib, Reserve: 8 * gib},
		Schedule: &health.Schedule{ID: "backup-validator-1", Every: 4 * time.Hour, Next: []time.Time{newest.Add(4 * time.Hour), newest.Add(8 * time.Hour)}},
		Drills:   &health.Schedule{ID: "drill-validator-1", Every: 168 * time.Hour, Next: []time.Time{now.Add(100 * time.Hour)}},
		Keys:     []health.Key{{Fingerprint: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}}}
	for i := range 42 {
		r.Sets = append(r.Sets, set(newest.Add(-time.Duration(i)*4*time.Hour), i, places))
	}
	r.Sets[3].Drilled, r.Sets[33].Pinned = backupset.Pass, "before the upgrade to 0.5.3"
	id := r.Sets[0].Set
	r.LastGood = &health.Good{Set: id, AgeS: 720, Places: places, OffHost: id, OffHostAgeS: 720}
	taken := newest.Add(20 * time.Second)
	r.Identity = &health.Identity{Set: id, State: "OK", TakenAt: &taken}
	for i, name := range places {
		location := []string{"/home/ubuntu/.canton/backups", "ubuntu@203.0.113.10:~/canton-backups/mainnet", "r2://canton-backups/mainnet/validator-1"}[i]
		seen := now.Add(-time.Duration(i*4) * time.Minute)
		r.Places = append(r.Places, health.Place{Name: name, Location: location, LastGood: id, AgeS: 720, Sets: 42, Bytes: 42 * 1700 * mib, SeenAt: seen})
	}
	for i, s := range r.Sets[:6] {
		closed := s.Set.Time().Add(3 * time.Minute)
		r.Runs = append(r.Runs, health.Run{ID: fmt.Sprintf("backup-validator-1-workflow-%d", i), RunID: fmt.Sprintf("0199-%04d", i), Type: "Backup", Started: s.Set.Time(), Closed: &closed,
			Status: "Completed", Set: string(s.Set), URL: s.RunURL})
	}
	drilled := now.Add(-68 * time.Hour)
	r.Drill = &health.Drill{Drill: backupset.NewID(drilled.Add(-12 * time.Minute)), Set: r.Sets[3].Set, From: "r2", Verdict: backupset.Pass, Detail: "every row of 214 tables is equal",
		Tables: 214, Rows: 48_203_117, FetchS: 96, LoadS: 412, VerifyS: 131, Finished: drilled}
	return health.Judge(r)
}

func set(began time.Time, i int, places []string) health.Set {
	margin, record := int64(8+i%5), began.Add(-4*time.Second)
	grown := int64(42 - i)
	s := health.Set{Set: backupset.NewID(began), Verdict: backupset.Pass, Bytes: (1500+grown*6+int64(i*i%7)*9)*mib + 4711, DatabaseB: (9000 + grown*31) * mib,
		DurationS: 148 + float64(grown) + float64(i*i%11)*3, DumpS: health.DumpSeconds{Validator: 21 + float64(i%4), Participant: 96 + float64(grown)},
		Margin: &margin, RecordTime: &record, Encryption: "age", Identities: true, Places: places, Synchronizer: "global-domain::1220b1431ef217342db44d516bb9befde802be7d8899637d290895fa58880f19accc::35-4",
		Checks: []backupset.Check{
			{Name: "order", Verdict: backupset.Pass, Detail: "validator dump ended at WAL 0/5D015B0, participant snapshot taken at 0/5D023D0"},
			{Name: "pair", Verdict: backupset.Pass, Detail: fmt.Sprintf("validator ingested 1268, participant ledger end %d", 1268+margin)},
			{Name: "identity", Verdict: backupset.Pass, Detail: "both databases speak of PAR::validator-1::1220f97d1619903705f4f23e5931de467cf1d937e2789b800253a34c25e9b5584491"},
			{Name: "pruning", Verdict: backupset.Pass, Detail: "the participant is not pruned"},
		}}
	if i < 30 {
		s.RunURL = fmt.Sprintf("http://127.0.0.1:8233/namespaces/default/workflows/backup-validator-1-workflow-%d/0199-%04d/history", i, i)
	}
	return s
}
