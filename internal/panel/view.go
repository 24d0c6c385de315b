package panel

import (
	"cmp"
	"fmt"
	"html/template"
	"strings"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
	"canton-backup/internal/restore"
)

const runsShown = 5

// view is what the template shows of a report: the report itself, and what is said of it in words.
type view struct {
	health.Report
	Now    time.Time
	Still  bool   // the page does not reload itself
	Old    string // age of a report that says nothing of now
	Style  template.CSS
	Answer answer
	Tiles  []tile
	Ways   []path
	Gauge  *gauge
	Charts []chart
	Recent []health.Run
}

// answer is the one sentence that the page is for.
type answer struct {
	Tone string
	Sign string
	Word string // Yes, No, Perhaps
	Rest string // "to 28 Nov 2026 08:00 UTC"
	Age  string // "12 min ago"
	Why  string // one line below
	Off  string // the same if the host is lost
}

// tile is one figure with its words.
type tile struct {
	Name, Figure, Tone, URL string
	Lines                   []string
}

// path is one of the three recovery paths.
type path struct {
	Name string
	Open bool
	Why  string
}

// gauge shows how much of the time is used up after which a set brings no node back to work.
type gauge struct {
	Tone  string
	Width float64 // percent
	Age   string
	Of    string
	Time  time.Time
}

func newView(r health.Report, now time.Time, still bool, style template.CSS) view {
	v := view{Report: r, Now: now, Still: still, Style: style, Recent: r.Runs[:min(len(r.Runs), runsShown)], Charts: charts(r.Sets, r.At)}
	if old := now.Sub(r.At); !r.At.IsZero() && old > staleAfter {
		v.Old = health.Age(old)
	}
	v.Answer = v.answer()
	switch v.Answer.Sign = mark(v.Answer.Tone); {
	case v.At.IsZero():
		v.Answer.Sign = "?"
	case v.Answer.Word == "Yes,":
		v.Answer.Sign = strings.ReplaceAll(v.Answer.Sign, "✕", "!") // a cross beside a yes says neither
	}
	v.Tiles = []tile{v.nextBackup(), v.lastDrill(), v.restoreTakes(), v.room()}
	v.Ways = v.ways()
	v.Gauge = v.gauge()
	return v
}

// Ago is how long ago that was.
func (v view) Ago(t time.Time) string {
	if d := v.Now.Sub(t); d < -time.Second {
		return "in " + health.Age(d)
	}
	return health.Age(v.Now.Sub(t)) + " ago"
}

// Title is the text of the browser's tab.
func (v view) Title() string {
	return v.Answer.Sign + " " + strings.TrimRight(v.Answer.Word, ",:") + " – " + cmp.Or(v.Node, "canton-backup")
}

// Icon is the name of the icon in the browser's tab.
func (v view) Icon() string {
	return map[string]string{"ok": "ok", "warn": "warning", "fail": "failed"}[v.Answer.Tone]
}

// Passed counts the checks that a set passed.
func (v view) Passed(s health.Set) int {
	n := 0
	for _, c := range s.Checks {
		if c.Verdict == backupset.Pass {
			n++
		}
	}
	return n
}

// Took is how long a run took, empty while it runs.
func (v view) Took(run health.Run) string {
	if run.Closed == nil {
		return ""
	}
	return took(run.Closed.Sub(run.Started).Seconds())
}

func (v view) answer() answer {
	if v.At.IsZero() {
		return answer{Tone: "warn", Word: "Not known", Rest: "yet", Why: "The worker has just started and is looking at the sets. This page shows more in a minute."}
	}
	a := answer{Tone: tone(v.Verdict), Word: "No:"}
	good := v.LastGood
	if good == nil {
		a.Tone, a.Rest = "fail", "there is no verified set"
		a.Why = "No place holds a set whose pair is proven and whose files are all there."
		if unseen := v.unseen(); len(unseen) > 0 {
			a.Rest, a.Why = "no verified set can be seen", "What lies on "+list(hosts(unseen))+" is not known: it cannot be listed."
		}
		if len(v.Sets) == 0 && v.Running != nil && v.Running.Type == "BackupNode" {
			a.Tone, a.Word, a.Rest, a.Why = "warn", "Not yet:", "the first backup is being made", "Until it is done there is nothing to restore from."
		}
		return a
	}
	at := when(good.Set.Time())
	a.Word, a.Rest = "Yes,", "to "+at
	a.Age = v.Ago(good.Set.Time())
	a.Why = fmt.Sprintf("The newest verified set is %s. It lies on %s.", good.Set, list(hosts(good.Places)))
	switch {
	case !v.Paths().Databases:
		a.Tone, a.Word, a.Rest, a.Age = "fail", "No:", "the newest set is too old for the network", ""
		a.Why = fmt.Sprintf("Set %s holds the node's state of more than %s ago; the network no longer keeps what came after. %s", good.Set, health.Age(restore.MaxAge), a.Why)
	case v.Drill != nil && v.Drill.Verdict == backupset.Fail:
		a.Tone, a.Word = "fail", "Perhaps,"
		a.Why = "The newest drill found that a set does not restore. " + a.Why
	}
	switch {
	case len(v.Places) < 2:
		a.Off = "If this host is lost, so are its sets: no target is set (BACKUP_TYPE=skip)."
	case good.OffHost == "":
		a.Off = "If this host is lost: no. No target holds a verified set."
	case good.OffHost != good.Set:
		a.Off = fmt.Sprintf("If this host is lost: to %s (set %s, made %s).", when(good.OffHost.Time()), good.OffHost, v.Ago(good.OffHost.Time()))
	default:
		a.Off = "If this host is lost: the same, from a target."
	}
	return a
}

// unseen are the places that cannot be listed.
func (v view) unseen() []string {
	var names []string
	for _, p := range v.Places {
		if p.Error != "" {
			names = append(names, p.Name)
		}
	}
	return names
}

// hosts are places in words for a sentence.
func hosts(places []string) []string {
	var words []string
	for _, p := range places {
		if p == "local" {
			p = "this host"
		}
		words = append(words, p)
	}
	return words
}

func (v view) ways() []path {
	open := v.Paths()
	all := []path{{Name: "Databases", Open: open.Databases}, {Name: "Identities", Open: open.Identities}, {Name: "Keys in a KMS", Open: open.KMS}}
	switch {
	case v.LastGood == nil:
		all[0].Why = "No verified set can be seen."
	case !open.Databases:
		all[0].Why = "The newest set's record time is more than " + health.Age(restore.MaxAge) + " old: the node could not catch up."
	default:
		all[0].Why = fmt.Sprintf("Set %s brings the whole node back, with its history.", v.LastGood.Set)
	}
	switch i := v.Identity; {
	case i == nil:
		all[1].Why = "Not fetched: IDENTITIES=off, or there is no set yet."
	case i.State == "NONE":
		all[1].Why = fmt.Sprintf("Set %s holds none of them.", i.Set)
	default:
		all[1].Why = fmt.Sprintf("Set %s holds the node's keys and names: a new node takes over its party and assets.", i.Set)
		if i.TakenAt != nil {
			all[1].Why += " Taken " + v.Ago(*i.TakenAt) + "."
		}
	}
	if all[2].Why = "This node keeps no key in a KMS. That is no fault: the other two stand by themselves."; open.KMS {
		all[2].Why = fmt.Sprintf("%d of the node's keys are kept in a KMS, and survive the host.", v.KMS)
	}
	return all
}

func (v view) gauge() *gauge {
	t := v.RecordTime()
	if t == nil {
		return nil
	}
	age := max(v.Now.Sub(*t), 0)
	g := &gauge{Tone: "ok", Width: min(100*float64(age)/float64(restore.MaxAge), 100), Age: health.Age(age), Of: fmt.Sprintf("%d days", restore.MaxAge/(24*time.Hour)), Time: *t}
	switch {
	case age > restore.MaxAge:
		g.Tone = "fail"
	case age > restore.MaxAge/4:
		g.Tone = "warn"
	}
	return g
}
