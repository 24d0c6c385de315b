// Package metrics says in Prometheus' words what a report of a node's health holds: one table, and the collector that reads it.
package metrics

import (
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
)

// Prefix begins the name of every metric of the table.
const Prefix = "canton_backup_"

// Metric is a row of the table of metrics. All are gauges, and all carry the labels node and network beside their own.
type Metric struct {
	Name   string // with the prefix
	Help   string
	Labels []string
	read   func(health.Report) []sample
}

// sample is a value of a metric, with the values of its own labels.
type sample struct {
	value  float64
	labels []string
}

// Table lists every metric that a report makes, in the order of the documentation. A metric whose figure is not known has no sample.
var Table = []Metric{
	{Prefix + "info", "Always 1: the program's version.", []string{"version"}, func(r health.Report) []sample { return one(1, r.Program) }},
	{Prefix + "report_timestamp_seconds", "When the report was made.", nil, func(r health.Report) []sample { return at(r.At) }},
	{Prefix + "verdict", "Verdict of the report: 0 OK, 1 WARNING, 2 FAILED.", nil, verdict},
	{Prefix + "problem", "How many problems of that code stand, see docs/reference/problems.md. No sample: none.", []string{"code", "severity"}, problems},
	{Prefix + "every_seconds", "Interval of backups, BACKUP_EVERY.", nil, func(r health.Report) []sample { return positive(r.EveryS) }},
	{Prefix + "fresh_seconds", "A newest verified set of this age is too old.", nil, func(r health.Report) []sample { return positive(r.FreshS) }},

	{Prefix + "last_verified_timestamp_seconds", "When the place's newest verified set was begun, 0 when it holds none.", []string{"place"}, lastVerified},
	{Prefix + "place_up", "1 when the place can be listed, else 0.", []string{"place"}, places(func(p health.Place) []sample { return one(truth(p.Error == ""), p.Name) })},
	{Prefix + "place_sets", "Sets of this node there.", []string{"place"}, readable(func(p health.Place) []sample { return one(float64(p.Sets), p.Name) })},
	{Prefix + "place_bytes", "Bytes of this node's sets there.", []string{"place"}, readable(func(p health.Place) []sample { return one(float64(p.Bytes), p.Name) })},
	{Prefix + "place_plain_sets", "Sets of this node there that are not encrypted.", []string{"place"}, readable(func(p health.Place) []sample { return one(float64(p.Plain), p.Name) })},
	{Prefix + "place_damaged_sets", "Sets there that are damaged, unreadable or dated in the future.", []string{"place"}, readable(func(p health.Place) []sample { return one(float64(len(p.Faults)), p.Name) })},
	{Prefix + "place_seen_timestamp_seconds", "When the place was looked at.", []string{"place"}, places(func(p health.Place) []sample { return at(p.SeenAt, p.Name) })},

	{Prefix + "set_timestamp_seconds", "When the newest set was begun, verified or not.", nil, newest(func(s health.Set) []sample { return at(s.Set.Time()) })},
	{Prefix + "set_bytes", "Stored bytes of the newest set.", nil, newest(func(s health.Set) []sample { return one(float64(s.Bytes)) })},
	{Prefix + "set_database_bytes", "Bytes of both databases on the server when the newest set was made.", nil, newest(func(s health.Set) []sample { return positive(s.DatabaseB) })},
	{Prefix + "set_duration_seconds", "How long the newest set took, from the run's begin to its manifest.", nil, newest(func(s health.Set) []sample { return one(s.DurationS) })},
	{Prefix + "step_duration_seconds", "How long each dump of the newest set took, and held a snapshot that vacuum had to respect.", []string{"step"}, newest(steps)},
	{Prefix + "check_ok", "1 when the newest set passed that check, 0 when it failed or could not be proven.", []string{"check"}, newest(checks)},
	{Prefix + "order_proof", "1 when the newest set's dumps are proven to be in order, else 0.", nil, newest(orderProof)},
	{Prefix + "offset_margin", "Of the newest set: the participant's ledger end less the validator's last ingested offset. Negative breaks the pair.", nil, newest(margin)},
	{Prefix + "set_encrypted", "1 when the newest set is encrypted, else 0.", nil, newest(func(s health.Set) []sample { return one(truth(s.Encryption != "" && s.Encryption != "none")) })},
	{Prefix + "record_time_timestamp_seconds", "Newest network time in the newest verified set. 30 days later the set brings no node back to work.", nil, recordTime},

	{Prefix + "drill_last_timestamp_seconds", "When the newest drill ended, 0 when none is on record.", nil, drillLast},
	{Prefix + "drill_ok", "1 when the newest drill proved that its set restores, else 0.", nil, drill(func(d health.Drill) []sample { return one(truth(d.Verdict == backupset.Pass)) })},
	{Prefix + "drill_restore_seconds", "How long fetching and loading took in the newest drill: what a restore takes.", nil, drill(func(d health.Drill) []sample { return one(d.RestoreS()) })},
	{Prefix + "drill_every_seconds", "Interval of drills, DRILL_EVERY; 0 is off.", nil, func(r health.Report) []sample { return one(float64(r.DrillS)) }},

	{Prefix + "recovery_paths", "Open recovery paths of three: databases, identities, KMS.", nil, func(r health.Report) []sample { return one(float64(r.Paths().Available())) }},
	{Prefix + "recovery_path_open", "1 when that recovery path is open, else 0.", []string{"path"}, paths},
	{Prefix + "identities_timestamp_seconds", "When the identities of the newest set were taken, 0 when it holds none.", nil, identities},

	{Prefix + "disk_free_bytes", "Free bytes on the disk of BACKUP_DIR.", nil, disk(func(d health.Disk) int64 { return d.Free })},
	{Prefix + "disk_total_bytes", "Size of that disk.", nil, disk(func(d health.Disk) int64 { return d.Total })},
	{Prefix + "disk_need_bytes", "What the next set may need there.", nil, disk(func(d health.Disk) int64 { return d.Need })},
	{Prefix + "disk_reserve_bytes", "What is never used there.", nil, disk(func(d health.Disk) int64 { return d.Reserve })},
	{Prefix + "disk_room_sets", "How many more sets fit there.", nil, disk(health.Disk.Room)},

	{Prefix + "worker_up", "1 when the node's worker answers, else 0.", nil, func(r health.Report) []sample { return one(truth(r.Worker == health.Running)) }},
	{Prefix + "schedule_paused", "1 when that schedule is paused, else 0.", []string{"schedule"}, schedules(func(s health.Schedule, of string) []sample { return one(truth(s.Paused), of) })},
	{Prefix + "schedule_missing", "1 when Temporal has no such schedule, else 0.", []string{"schedule"}, schedules(func(s health.Schedule, of string) []sample { return one(truth(s.Missing), of) })},
	{Prefix + "schedule_next_timestamp_seconds", "When that schedule's next run is due.", []string{"schedule"}, schedules(next)},
	{Prefix + "schedule_missed_runs", "Runs that no worker was there for.", []string{"schedule"}, schedules(func(s health.Schedule, of string) []sample { return one(float64(s.Missed), of) })},
	{Prefix + "running_since_timestamp_seconds", "Since when something works on the node. No sample: nothing does.", []string{"type"}, running},

	{Prefix + "key_expires_timestamp_seconds", "When that public key expires. No sample: never.", []string{"key"}, keys},
	{Prefix + "alerts_lasting", "Causes that the operator was told of and that are not over.", nil, func(r health.Report) []sample { return one(float64(len(r.Alerts))) }},
	{Prefix + "alert_undelivered", "Those of which an alert did not reach a channel.", nil, undelivered},
}

func one(value float64, labels ...string) []sample { return []sample{{value, labels}} }

// at is a time in Unix seconds, none when it is not known.
func at(t time.Time, labels ...string) []sample {
	if t.IsZero() {
		return nil
	}
	return one(float64(t.Unix()), labels...)
}

func positive(n int64) []sample {
	if n <= 0 {
		return nil
	}
	return one(float64(n))
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
