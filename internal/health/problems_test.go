package health_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time {
	t := now.Add(-d)
	return &t
}

func id(d time.Duration) backupset.ID { return backupset.NewID(now.Add(-d)) }

// sound is the report of a node with nothing to mend.
func sound() health.Report {
	return health.Report{
		At: now, Node: "node-1", Network: "testnet", EveryS: 4 * 3600, FreshS: 6 * 3600, DrillS: 7 * 24 * 3600, Worker: health.Running,
		LastGood: &health.Good{Set: id(time.Hour), AgeS: 3600, Places: []string{"local", "rsync"}, OffHost: id(time.Hour), OffHostAgeS: 3600},
		Places:   []health.Place{{Name: "local", LastGood: id(time.Hour), Sets: 2, SeenAt: now}, {Name: "rsync", LastGood: id(time.Hour), Sets: 2, SeenAt: now}},
		Sets:     []health.Set{{Set: id(time.Hour), Verdict: backupset.Pass, RecordTime: ago(61 * time.Minute)}, {Set: id(5 * time.Hour), Verdict: backupset.Pass}},
		Disk:     &health.Disk{Free: 100 << 30, Total: 200 << 30, Need: 1 << 30, Reserve: 8 << 30},
		Drill:    &health.Drill{Set: id(time.Hour), Verdict: backupset.Pass, Finished: now.Add(-time.Hour)},
		Identity: &health.Identity{Set: id(time.Hour), State: "OK", TakenAt: ago(time.Hour)},
		Keys:     []health.Key{{Fingerprint: "age1x"}, {Fingerprint: "ABCD", Expires: ago(-90 * 24 * time.Hour)}},
		Schedule: &health.Schedule{ID: "backup-node-1", Every: 4 * time.Hour, Next: []time.Time{now.Add(3 * time.Hour)}},
		Drills:   &health.Schedule{ID: "drill-node-1"}, Watch: &health.Schedule{ID: "watch-node-1"}, WatchedAt: now.Add(-20 * time.Minute),
		LastRun: &health.Run{ID: "node/node-1", Started: now.Add(-time.Hour), Closed: ago(50 * time.Minute), Status: "Completed"},
		Runs:    []health.Run{{ID: "backup-node-1-x", Started: now.Add(-time.Hour), Closed: ago(50 * time.Minute), Status: "Completed"}},
	}
}

func TestJudge(t *testing.T) {
	require.Equal(t, health.OK, health.Judge(sound()).Verdict)
	require.Empty(t, health.Judge(sound()).Problems)
	met := map[string]bool{}
	for _, c := range []struct {
		name    string
		change  func(*health.Report)
		want    []string // keys
		verdict health.Verdict
	}{
		{"the worker is away", func(r *health.Report) { r.Worker, r.Schedule = "nothing listens", nil }, []string{"no-worker"}, health.Failed},
		{"the schedule was deleted", func(r *health.Report) { r.Schedule = &health.Schedule{ID: "backup-node-1", Missing: true} }, []string{"schedule-missing"}, health.Failed},
		{"the schedule is paused", func(r *health.Report) { r.Schedule.Paused = true }, []string{"schedule-paused"}, health.Failed},
		{"no set is verified", func(r *health.Report) { r.LastGood = nil }, []string{"no-verified-set"}, health.Failed},
		{"no set yet, the first is being made", func(r *health.Report) {
			r.LastGood, r.Sets, r.Identity, r.Running = nil, nil, nil, &health.Run{Type: "BackupNode", Started: now}
			r.Places[0].Sets, r.Places[1].Sets = 0, 0
		}, nil, health.OK},
		{"the targets were not looked at yet", func(r *health.Report) { r.LastGood, r.Places[1].SeenAt = nil, time.Time{} }, nil, health.OK},
		{"as old as it may be", func(r *health.Report) { r.LastGood.AgeS, r.LastGood.OffHostAgeS = r.FreshS, r.FreshS }, nil, health.OK},
		{"too old", func(r *health.Report) { r.LastGood.AgeS = r.FreshS + 1 }, []string{"set-too-old"}, health.Failed},
		{"too old off the host", func(r *health.Report) { r.LastGood.OffHostAgeS = r.FreshS + 1 }, []string{"off-host-too-old"}, health.Failed},
		{"none off the host", func(r *health.Report) { r.LastGood.OffHost = "" }, []string{"off-host-too-old"}, health.Failed},
		{"none off the host, no target", func(r *health.Report) { r.LastGood.OffHost, r.Places = "", r.Places[:1] }, nil, health.OK},
		{"a target refuses", func(r *health.Report) { r.Places[1].Error = "permission denied" }, []string{"place-unreadable/rsync"}, health.Failed},
		{"a set is damaged", func(r *health.Report) { r.Places[0].Faults = []string{"set x: file is missing"} }, []string{"set-damaged/local"}, health.Failed},
		{"the disk is full", func(r *health.Report) { r.Disk.Free = 8<<30 + 1 }, []string{"disk-full"}, health.Failed},
		{"the disk is full, no set yet", func(r *health.Report) { r.Disk.Free, r.Disk.Need = 8<<30, 0 }, []string{"disk-full"}, health.Failed},
		{"the disk fills", func(r *health.Report) { r.Disk.Free = 8<<30 + 2<<30 }, []string{"disk-low"}, health.Warning},
		{"room for three", func(r *health.Report) { r.Disk.Free = 8<<30 + 3<<30 }, nil, health.OK},
		{"a key cannot be used", func(r *health.Report) { r.KeyError = "expired" }, []string{"key-unusable"}, health.Failed},
		{"a key expires", func(r *health.Report) { r.Keys[1].Expires = ago(-29 * 24 * time.Hour) }, []string{"key-expires/ABCD"}, health.Warning},
		{"the last run failed", func(r *health.Report) { r.LastRun.Status = "Failed" }, []string{"last-run-failed"}, health.Failed},
		{"the last run was terminated", func(r *health.Report) { r.LastRun.Status = "Terminated" }, []string{"last-run-failed"}, health.Failed},
		{"the last run was cancelled", func(r *health.Report) { r.LastRun.Status = "Canceled" }, nil, health.OK},
		{"one that found the node busy is no failure", func(r *health.Report) { r.Runs[0].Status = "Failed" }, nil, health.OK},
		{"the settings are broken, and the rest is not known", func(r *health.Report) {
			r.SettingsError, r.LastGood, r.Schedule = "KEEP_LAST=0", nil, &health.Schedule{Missing: true}
			r.Places = []health.Place{{Name: "local"}}
		}, []string{"settings-invalid"}, health.Failed},
		{"the clock was set back", func(r *health.Report) { r.Schedule.Next = []time.Time{now.Add(9 * time.Hour)} }, []string{"next-run-far"}, health.Failed},
		{"the watchdog was deleted", func(r *health.Report) { r.Watch = &health.Schedule{Missing: true} }, []string{"watchdog-off"}, health.Failed},
		{"the watchdog is paused", func(r *health.Report) { r.Watch.Paused = true }, []string{"watchdog-off"}, health.Failed},
		{"the watchdog does not look", func(r *health.Report) { r.WatchedAt = now.Add(-61 * time.Minute) }, []string{"watchdog-off"}, health.Failed},
		{"drills are paused", func(r *health.Report) { r.Drills.Paused = true }, []string{"drill-due"}, health.Warning},
		{"the schedule of drills was deleted", func(r *health.Report) { r.Drills.Missing = true }, []string{"drill-due"}, health.Warning},
		{"a run is at work on a full disk", func(r *health.Report) { r.Disk.Free, r.Running = 8<<30, &health.Run{Type: "BackupNode", Started: now} }, nil, health.OK},
		{"there is no channel", func(r *health.Report) { r.Unalerted = true }, []string{"no-alert-channel"}, health.Warning},
		{"a run hangs", func(r *health.Report) { r.Running = &health.Run{Type: "Restore", Started: now.Add(-8 * time.Hour)} }, []string{"run-too-long"}, health.Warning},
		{"the pair is not proven", func(r *health.Report) { r.Sets[0].Verdict = backupset.Unknown }, []string{"pair-unproven"}, health.Warning},
		{"the participant stands still", func(r *health.Report) { r.Sets[0].RecordTime = ago(8 * time.Hour) }, []string{"record-time"}, health.Warning},
		{"the participant is a week behind", func(r *health.Report) { r.Sets[0].RecordTime = ago(8 * 24 * time.Hour) }, []string{"record-time"}, health.Failed},
		{"a drill failed", func(r *health.Report) { r.Drill.Verdict = backupset.Fail }, []string{"drill-failed"}, health.Failed},
		{"a drill proved nothing", func(r *health.Report) { r.Drill.Verdict = backupset.Unknown }, []string{"drill-unproven"}, health.Warning},
		{"drills stopped", func(r *health.Report) { r.Drill.Finished = now.Add(-15 * 24 * time.Hour) }, []string{"drill-due"}, health.Warning},
		{"never drilled, an old node", func(r *health.Report) { r.Drill, r.Sets[1].Set = nil, id(15*24*time.Hour) }, []string{"drill-due"}, health.Warning},
		{"never drilled, a young node", func(r *health.Report) { r.Drill = nil }, nil, health.OK},
		{"never drilled, drills are off", func(r *health.Report) { r.Drill, r.DrillS, r.Sets[1].Set = nil, 0, id(15*24*time.Hour) }, nil, health.OK},
		{"no identities", func(r *health.Report) { r.Identity.State, r.Identity.TakenAt = "NONE", nil }, []string{"no-identities"}, health.Warning},
		{"identities of last week", func(r *health.Report) { r.Identity.State, r.Identity.TakenAt = "STALE", ago(8*24*time.Hour) }, []string{"no-identities"}, health.Warning},
		{"an alert got lost", func(r *health.Report) {
			r.Alerts = []health.Told{{Key: "Backup/Upload/AuthDenied", Undelivered: "telegram: 401"}}
		}, []string{"alert-undelivered/Backup/Upload/AuthDenied"}, health.Warning},
		{"a warning and a failure", func(r *health.Report) { r.Disk.Free, r.Drill.Verdict = 8<<30+2<<30, backupset.Fail }, []string{"drill-failed", "disk-low"}, health.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sound()
			c.change(&r)
			r = health.Judge(r)
			var keys []string
			for _, p := range r.Problems {
				keys = append(keys, p.Key())
				met[p.Code] = true
				require.NotEmpty(t, p.Next, "an operator at 3 a.m. needs the next command")
				require.NotEmpty(t, p.Detail)
			}
			require.Equal(t, c.want, keys)
			require.Equal(t, c.verdict, r.Verdict)
		})
	}
	for _, k := range health.Kinds {
		require.True(t, met[k.Code], "no test meets %s", k.Code)
	}
}

func TestToTell(t *testing.T) {
	keys := func(r health.Report, causes ...string) []string {
		for _, key := range causes {
			r.Alerts = append(r.Alerts, health.Told{Key: key, Last: now.Add(-time.Hour), Delivered: true})
		}
		var keys []string
		for _, p := range health.Judge(r).ToTell() {
			keys = append(keys, p.Key())
		}
		return keys
	}
	r := sound()
	r.LastGood.AgeS, r.LastGood.OffHostAgeS = r.FreshS+1, r.FreshS+1
	require.Equal(t, []string{"set-too-old"}, keys(r), "that none is off the host follows")
	r.Schedule.Paused = true
	require.Equal(t, []string{"schedule-paused"}, keys(r), "the rest follows from the pause")
	r.Schedule.Paused = false
	require.Empty(t, keys(r, "Backup/DumpValidator/PostgresUnavailable"), "the run has told why there is no new set")
	stale := r
	for why, cause := range map[string]health.Told{
		"no run tells it any more, so somebody must": {Last: now.Add(-7 * time.Hour), Delivered: true},
		"a clock that was wrong left it":             {Last: now.AddDate(1, 0, 0), Delivered: true},
		"nobody heard of it, so it explains nothing": {Last: now.Add(-time.Hour)},
	} {
		cause.Key = "Backup/DumpValidator/PostgresUnavailable"
		stale.Alerts = []health.Told{cause}
		require.Equal(t, []string{"set-too-old"}, keys(stale), why)
	}
	r.Places[1].Error = "refused"
	require.Equal(t, []string{"place-unreadable/rsync"}, keys(r, "Backup/DumpValidator/PostgresUnavailable"), "a target is another matter")
	require.Empty(t, keys(r, "Backup/Upload/AuthDenied"))
	r.Places = append(r.Places, health.Place{Name: "s3", SeenAt: now})
	require.Equal(t, []string{"place-unreadable/rsync"}, keys(r, "Backup/Upload/s3 AuthDenied"), "another target's trouble explains nothing")
	require.Empty(t, keys(r, "Backup/Upload/rsync AuthDenied"))
	r.Places[0].Error = "disk error"
	require.Equal(t, []string{"place-unreadable/local"}, keys(r, "Backup/Upload/rsync AuthDenied"))
	r.Places[0].Error = ""
	r.Drill.Verdict = backupset.Fail
	require.NotContains(t, keys(r), "drill-failed", "the drill has told it")
}

// What cannot be seen is not over.
func TestLasting(t *testing.T) {
	remembered := []string{"schedule-paused", "set-damaged/rsync", "off-host-too-old", "disk-low", "place-unreadable/rsync", "gone-kind"}
	require.Empty(t, health.Judge(sound()).Lasting(remembered), "all is seen, and well")
	for name, c := range map[string]struct {
		change func(*health.Report)
		want   []string
	}{
		"Temporal does not answer": {func(r *health.Report) { r.Worker, r.Schedule = "no answer", nil }, []string{"no-worker", "schedule-paused"}},
		"a target is away":         {func(r *health.Report) { r.Places[1].Error = "no route" }, []string{"place-unreadable/rsync", "set-damaged/rsync", "off-host-too-old"}},
		"a run is at work":         {func(r *health.Report) { r.Running = &health.Run{Type: "BackupNode", Started: now} }, []string{"disk-low"}},
		"the settings are broken": {func(r *health.Report) {
			r.SettingsError, r.Places = "bad", []health.Place{{Name: "local"}}
			r.Disk = nil
		},
			[]string{"settings-invalid", "schedule-paused", "set-damaged/rsync", "off-host-too-old", "disk-low", "place-unreadable/rsync"}},
	} {
		r := sound()
		c.change(&r)
		require.Equal(t, c.want, health.Judge(r).Lasting(remembered), name)
	}
}

func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range health.Kinds {
		require.False(t, seen[k.Code], k.Code)
		seen[k.Code] = true
		require.NotEmpty(t, k.Meaning, k.Code)
	}
	for _, k := range health.Kinds {
		for _, of := range k.Follows {
			require.True(t, seen[of] || slices.Contains([]string{"Backup/", "Backup/Upload/", "Drill/", "Backup/start/", "Drill/start/"}, of), "%s follows from %s", k.Code, of)
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 s", 59 * time.Second: "59 s", time.Minute: "1 min", 90 * time.Minute: "1 h 30 min", 25 * time.Hour: "1 d 1 h", -time.Hour: "1 h 0 min"} {
		require.Equal(t, want, health.Age(d))
	}
}

func TestPaths(t *testing.T) {
	r := sound()
	require.Equal(t, 2, r.Paths().Available())
	r.KMS = 3
	require.Equal(t, 3, r.Paths().Available())
	r.Sets[0].RecordTime = ago(31 * 24 * time.Hour)
	require.False(t, r.Paths().Databases, "the network keeps too little for such a node to catch up")
	r.LastGood, r.Identity, r.KMS = nil, nil, 0
	require.Zero(t, r.Paths().Available())
}
