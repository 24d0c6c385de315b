package health

import (
	"slices"
	"strings"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
)

// Facts are what a report is made from.
type Facts struct {
	Now           time.Time
	Settings      config.Settings
	Program       string  // name and version
	Shelves       []Shelf // this host first
	Drill         *Drill
	Disk          *Disk
	Keys          []Key
	KeyError      string
	Temporal      Temporal
	Alerts        []Told
	Unalerted     bool      // there is no channel to tell anything
	SettingsError string    // why the settings cannot be read; of the rest little is known then
	Watched       time.Time // when the watchdog looked last
}

// Temporal is what the node's Temporal knows. Everything but Worker is empty when it does not answer.
type Temporal struct {
	Worker   string // Running, or why it is not
	Running  *Run
	Schedule *Schedule
	Drills   *Schedule
	Runs     []Run             // backups, newest first
	Watch    *Schedule         // of the watchdog
	LastRun  *Run              // newest backup that ended and had the node to itself
	Bodies   map[string]string // set id -> address of the run that made it in the Temporal UI
	RunsURL  string
}

// Make makes the report of these facts and judges it.
func Make(f Facts) Report {
	s := f.Settings
	r := Report{Format: 1, At: f.Now.UTC(), Node: s.Node.Name, Network: s.Node.Network, Program: f.Program,
		EveryS: int64(s.Every.Seconds()), FreshS: int64(Fresh(s.Every).Seconds()), DrillS: int64(s.Drill.Seconds()),
		Drill: f.Drill, Disk: f.Disk, Keys: f.Keys, KeyError: f.KeyError, Alerts: f.Alerts,
		Worker: f.Temporal.Worker, Running: f.Temporal.Running, Schedule: f.Temporal.Schedule, Drills: f.Temporal.Drills, Runs: f.Temporal.Runs, RunsURL: f.Temporal.RunsURL,
		SettingsError: f.SettingsError, Unalerted: f.Unalerted, Watch: f.Temporal.Watch, WatchedAt: f.Watched.UTC(), LastRun: f.Temporal.LastRun}
	for _, shelf := range f.Shelves {
		r.Places = append(r.Places, shelf.place(f.Now))
	}
	r.LastGood = good(f.Shelves, f.Now)
	r.Sets = sets(f)
	r.Identity, r.KMS = identity(f), kms(f.Shelves, f.Now)
	return Judge(r)
}

// Fresh is how old the newest verified set may be: half an interval more than the schedule's, which is 6 h for the 4 h of the guide (domain R4).
func Fresh(every time.Duration) time.Duration { return every + every/2 }

func good(shelves []Shelf, now time.Time) *Good {
	var g Good
	for _, shelf := range shelves {
		e, found := shelf.Listing.LastGood(now)
		if !found {
			continue
		}
		id := e.Manifest.Set
		if id > g.Set {
			g.Set, g.AgeS, g.Places = id, ageS(id, now), nil
		}
		if shelf.Name != Local && id > g.OffHost {
			g.OffHost, g.OffHostAgeS = id, ageS(id, now)
		}
	}
	if g.Set == "" {
		return nil
	}
	for _, shelf := range shelves {
		if e, err := shelf.Listing.Find(string(g.Set), now); err == nil && e.Own && e.Damage == "" {
			g.Places = append(g.Places, shelf.Name)
		}
	}
	return &g
}

// sets joins the copies of each set.
func sets(f Facts) []Set {
	byID := map[backupset.ID]*Set{}
	for _, shelf := range f.Shelves {
		for _, e := range shelf.Listing.Sets {
			if !e.Own {
				continue
			}
			id := e.Manifest.Set
			if byID[id] == nil {
				byID[id] = setOf(e.Manifest)
				byID[id].RunURL = f.Temporal.Bodies[string(id)]
			}
			s := byID[id]
			if e.Damage == "" {
				s.Places = append(s.Places, shelf.Name)
			} else {
				s.Damaged = append(s.Damaged, shelf.Name+": "+e.Damage)
			}
			if e.Pinned != "" {
				s.Pinned = e.Pinned
			}
		}
	}
	if f.Drill != nil && byID[f.Drill.Set] != nil {
		byID[f.Drill.Set].Drilled = f.Drill.Verdict
	}
	all := make([]Set, 0, len(byID))
	for _, s := range byID {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Set) int { return strings.Compare(string(b.Set), string(a.Set)) })
	return all
}

func setOf(m backupset.Manifest) *Set {
	s := &Set{Set: m.Set, Verdict: m.Verdict, Checks: m.Checks, Bytes: m.Bytes(), Reason: m.Reason, Synchronizer: m.Epoch(), Encryption: "none",
		DurationS: m.SealedAt.Sub(m.Set.Time()).Seconds()}
	validator, _ := m.Component(backupset.Validator)
	participant, _ := m.Component(backupset.Participant)
	_, s.Identities = m.Component(backupset.Identities)
	s.DatabaseB = validator.DatabaseSize + participant.DatabaseSize
	s.DumpS = DumpSeconds{validator.SnapshotHeld().Seconds(), participant.SnapshotHeld().Seconds()}
	if e := participant.Encryption; e != backupset.Unencrypted && !m.Plain() {
		s.Encryption = string(e)
	}
	v, p := validator.ValidatorEvidence, participant.ParticipantEvidence
	if p != nil {
		s.RecordTime = p.RecordTime
	}
	if v != nil && p != nil && v.MaxOffset != nil && p.LedgerEnd != nil {
		margin := *p.LedgerEnd - *v.MaxOffset
		s.Margin = &margin
	}
	return s
}

// newest is the newest set of this node on this host.
func newest(shelves []Shelf, now time.Time) (backupset.Manifest, bool) {
	for _, shelf := range shelves {
		if shelf.Name == Local {
			e, err := shelf.Listing.Find(catalog.Latest, now)
			return e.Manifest, err == nil
		}
	}
	return backupset.Manifest{}, false
}

func identity(f Facts) *Identity {
	m, found := newest(f.Shelves, f.Now)
	if !found || f.Settings.Identities.Off {
		return nil
	}
	i := &Identity{Set: m.Set, State: "NONE"}
	if c, has := m.Component(backupset.Identities); has && c.IdentitiesEvidence != nil {
		i.State, i.TakenAt = "STALE", &c.IdentitiesEvidence.TakenAt
		if m.FreshIdentities() {
			i.State = "OK"
		}
	}
	return i
}

func kms(shelves []Shelf, now time.Time) int64 {
	m, _ := newest(shelves, now)
	if c, has := m.Component(backupset.Participant); has && c.ParticipantEvidence != nil {
		return c.ParticipantEvidence.KMSKeys
	}
	return 0
}
