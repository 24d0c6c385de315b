package panel

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
)

func (v view) nextBackup() tile {
	t := tile{Name: "Next backup"}
	s := v.Schedule
	switch {
	case v.Running != nil:
		t.Name, t.URL = "Running now", link(v.Running.URL)
		t.Figure = strings.TrimSuffix(v.Running.Type, "Node")
		t.Lines = append(t.Lines, "since "+when(v.Running.Started)+", "+v.Ago(v.Running.Started))
		if v.Running.Line != "" {
			t.Lines = append(t.Lines, v.Running.Line)
		}
		return t
	case s == nil:
		t.Figure, t.Tone = "Not known", "warn"
		if t.Lines = []string{"Temporal could not be asked"}; v.Worker != health.Running {
			t.Lines = append(t.Lines, v.Worker)
		}
		return t
	case s.Missing:
		t.Figure, t.Tone = "None", "fail"
		t.Lines = append(t.Lines, "Temporal has no schedule "+s.ID)
	case s.Paused:
		t.Figure, t.Tone = "Paused", "fail"
		t.Lines = append(t.Lines, cmp.Or(s.Note, "no reason given"))
	case len(s.Next) == 0:
		t.Figure, t.Tone = "None", "fail"
		t.Lines = append(t.Lines, "The schedule has no next run")
	default:
		t.Figure = v.Ago(s.Next[0])
		t.Lines = append(t.Lines, when(s.Next[0])+", every "+every(s.Every))
	}
	if s.Missed > 0 {
		t.Lines = append(t.Lines, fmt.Sprintf("%d missed: no worker was there", s.Missed))
	}
	return t
}

func (v view) lastDrill() tile {
	t := tile{Name: "Last drill"}
	d := v.Drill
	switch {
	case d != nil:
		t.Figure, t.Tone = v.Ago(d.Finished), tone(d.Verdict)
		words := map[backupset.Verdict]string{backupset.Pass: "restored and proven equal", backupset.Fail: "does not restore", backupset.Unknown: "loaded, not proven equal"}
		t.Lines = append(t.Lines, fmt.Sprintf("Set %s from %s: %s", d.Set, d.From, words[d.Verdict]))
		if d.Verdict == backupset.Pass {
			t.Lines = append(t.Lines, fmt.Sprintf("%s rows in %s tables", count(d.Rows), count(int64(d.Tables))))
		} else {
			t.Lines = append(t.Lines, strings.Trim(d.Problem+": "+d.Detail, ": "))
		}
	case v.DrillS == 0:
		t.Figure = "Never"
	default:
		t.Figure = "None yet"
	}
	switch {
	case v.DrillS == 0:
		t.Lines = append(t.Lines, "Drills are off (DRILL_EVERY)")
	case v.Drills != nil && v.Drills.Paused:
		t.Lines = append(t.Lines, "Drills are paused: "+cmp.Or(v.Drills.Note, "no reason given"))
	case v.Drills != nil && len(v.Drills.Next) > 0:
		t.Lines = append(t.Lines, "Next one "+v.Ago(v.Drills.Next[0]))
	}
	return t
}

func (v view) restoreTakes() tile {
	t := tile{Name: "A restore takes"}
	if v.Drill == nil || v.Drill.LoadS == 0 {
		t.Figure = "Not measured"
		t.Lines = []string{"A drill measures it: canton-backup drill"}
		return t
	}
	t.Figure = took(v.Drill.RestoreS())
	t.Lines = []string{fmt.Sprintf("Fetch %s, load %s", took(v.Drill.FetchS), took(v.Drill.LoadS)), "In the last drill; stop and start of the node come on top"}
	return t
}

func (v view) room() tile {
	t := tile{Name: "Room on this host"}
	d := v.Disk
	if d == nil {
		t.Figure, t.Tone = "Not known", "warn"
		t.Lines = []string{"The disk of BACKUP_DIR could not be asked"}
		return t
	}
	switch n := d.Room(); {
	case n == 0:
		t.Figure, t.Tone = "Full", "fail"
	case n == 1:
		t.Figure, t.Tone = "1 set", "warn"
	default:
		t.Figure = count(n) + " sets"
		if n < 3 {
			t.Tone = "warn"
		}
	}
	t.Lines = []string{fmt.Sprintf("%s free of %s", size(d.Free), size(d.Total)), fmt.Sprintf("The next set takes %s, %s stay reserved", size(d.Need), size(d.Reserve))}
	return t
}

// every writes an interval: "4 h", "30 min", "7 d".
func every(d time.Duration) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d d", d/(24*time.Hour))
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return health.Age(d)
}
