package metrics

import (
	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
)

// Steps are named as they are in the Temporal UI.
const (
	dumpValidator   = "DumpValidator"
	dumpParticipant = "DumpParticipant"
)

func verdict(r health.Report) []sample {
	switch r.Verdict {
	case health.OK:
		return one(0)
	case health.Warning:
		return one(1)
	}
	return one(2) // a report without a verdict is no good one
}

func problems(r health.Report) []sample {
	var all []sample
	for _, p := range r.Problems {
		i := 0
		for i < len(all) && (all[i].labels[0] != p.Code || all[i].labels[1] != string(p.Verdict)) {
			i++
		}
		if i == len(all) {
			all = append(all, one(0, p.Code, string(p.Verdict))...)
		}
		all[i].value++
	}
	return all
}

// places reads each place, one that cannot be listed too.
func places(read func(health.Place) []sample) func(health.Report) []sample {
	return func(r health.Report) []sample {
		var all []sample
		for _, p := range r.Places {
			all = append(all, read(p)...)
		}
		return all
	}
}

// readable reads the places that could be listed: of the others nothing is known, and 0 would be a lie.
func readable(read func(health.Place) []sample) func(health.Report) []sample {
	return places(func(p health.Place) []sample {
		if p.Error != "" {
			return nil
		}
		return read(p)
	})
}

func lastVerified(r health.Report) []sample {
	return places(func(p health.Place) []sample {
		switch {
		case p.LastGood != "":
			return at(p.LastGood.Time(), p.Name)
		case p.Error == "":
			return one(0, p.Name) // a rule on the age must fire for a place that never held one
		}
		return nil
	})(r)
}

func newest(read func(health.Set) []sample) func(health.Report) []sample {
	return func(r health.Report) []sample {
		if len(r.Sets) == 0 {
			return nil
		}
		return read(r.Sets[0])
	}
}

func steps(s health.Set) []sample {
	return append(one(s.DumpS.Validator, dumpValidator), one(s.DumpS.Participant, dumpParticipant)...)
}

func checks(s health.Set) []sample {
	var all []sample
	for _, c := range s.Checks {
		all = append(all, one(truth(c.Verdict == backupset.Pass), c.Name)...)
	}
	return all
}

func orderProof(s health.Set) []sample {
	for _, c := range s.Checks {
		if c.Name == "order" {
			return one(truth(c.Verdict == backupset.Pass))
		}
	}
	return one(0)
}

func margin(s health.Set) []sample {
	if s.Margin == nil {
		return nil
	}
	return one(float64(*s.Margin))
}

func recordTime(r health.Report) []sample {
	if t := r.RecordTime(); t != nil {
		return at(*t)
	}
	return nil
}

func drill(read func(health.Drill) []sample) func(health.Report) []sample {
	return func(r health.Report) []sample {
		if r.Drill == nil {
			return nil
		}
		return read(*r.Drill)
	}
}

func drillLast(r health.Report) []sample {
	if r.Drill == nil {
		return one(0)
	}
	return at(r.Drill.Finished)
}

func paths(r health.Report) []sample {
	p := r.Paths()
	return append(append(one(truth(p.Databases), "databases"), one(truth(p.Identities), "identities")...), one(truth(p.KMS), "kms")...)
}

func identities(r health.Report) []sample {
	switch i := r.Identity; {
	case i == nil:
		return nil
	case i.State == "NONE":
		return one(0)
	case i.TakenAt != nil:
		return at(*i.TakenAt)
	}
	return nil
}

func disk(read func(health.Disk) int64) func(health.Report) []sample {
	return func(r health.Report) []sample {
		if r.Disk == nil {
			return nil
		}
		return one(float64(read(*r.Disk)))
	}
}

func schedules(read func(s health.Schedule, of string) []sample) func(health.Report) []sample {
	return func(r health.Report) []sample {
		var all []sample
		if r.Schedule != nil {
			all = append(all, read(*r.Schedule, "backup")...)
		}
		if r.Drills != nil {
			all = append(all, read(*r.Drills, "drill")...)
		}
		return all
	}
}

func next(s health.Schedule, of string) []sample {
	if len(s.Next) == 0 || s.Paused {
		return nil
	}
	return at(s.Next[0], of)
}

func running(r health.Report) []sample {
	if r.Running == nil {
		return nil
	}
	return at(r.Running.Started, r.Running.Type)
}

func keys(r health.Report) []sample {
	var all []sample
	for _, k := range r.Keys {
		if k.Expires != nil {
			all = append(all, at(*k.Expires, k.Fingerprint)...)
		}
	}
	return all
}

func undelivered(r health.Report) []sample {
	n := 0
	for _, a := range r.Alerts {
		if a.Undelivered != "" {
			n++
		}
	}
	return one(float64(n))
}
