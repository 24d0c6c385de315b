package figures

// Loss is a peer that is better than the product in a case.
type Loss struct {
	Case    Case
	Peer    string
	Ours    string
	Measure Measure
	Ratio   float64 // ours / the peer's, above 1
}

// Measure is one of what a table compares.
type Measure string

// The measures.
const (
	Wall   Measure = "time"
	CPU    Measure = "CPU"
	Bytes  Measure = "bytes"
	Memory Measure = "memory"
)

// margin is what two runs of the same program may differ by.
const margin = 1.03

// Losses are the peers that beat us, by case, with the figures of ours that is the nearest match: the recommended one.
func (s Set) Losses(ours map[string]string) []Loss {
	var found []Loss
	for _, c := range s.Cases() {
		mine, ok := s.Find(c, ours[c.Name])
		if !ok {
			continue
		}
		for _, f := range s.Of(c) {
			if Ours(f.Subject) {
				continue
			}
			for _, m := range []struct {
				measure Measure
				a, b    float64
			}{
				{Wall, wall(mine.Median), wall(f.Median)}, {CPU, cpu(mine.Median), cpu(f.Median)},
				{Bytes, out(mine.Median), out(f.Median)}, {Memory, float64(mine.Median.Peak), float64(f.Median.Peak)},
			} {
				if m.a > m.b*margin && m.b > 0 {
					found = append(found, Loss{Case: c, Peer: f.Subject, Ours: mine.Subject, Measure: m.measure, Ratio: m.a / m.b})
				}
			}
		}
	}
	return found
}
