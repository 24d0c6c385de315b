// Package restore decides whether a set may replace what a node has now, and says what the operator must know before and do after. It is
// pure: it gets what was found out, and returns a plan.
package restore

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"canton-backup/internal/backupset"
)

// The gates: reasons not to restore a set. Each is also the word of --override.
const (
	GateAge          = "age"
	GateNetwork      = "network"
	GateNode         = "node"
	GateMigration    = "migration"
	GateSynchronizer = "synchronizer"
	GatePair         = "pair"
	GateDisk         = "disk"
	GateServer       = "server"
	GateLaunch       = "launch"
	GateScan         = "scan"
	GateBundle       = "bundle"
)

// Gates lists every gate with what it stands for, in the order in which they are looked at.
var Gates = []struct{ Name, Meaning string }{
	{GateAge, "the set is older than 30 days by its record time: sequencers have pruned what the node would need to catch up (domain R17)"},
	{GateNetwork, "the set is of another network"},
	{GateNode, "the set is of another node: two copies of one participant must never live (domain R19)"},
	{GateMigration, "the set is of another migration id"},
	{GateSynchronizer, "the network's synchronizer was upgraded since: the old one may be gone (domain R18)"},
	{GatePair, "the two dumps are not proven to belong together"},
	{GateDisk, "the disk may not hold the old databases and the restored ones side by side"},
	{GateServer, "the server is older than the one that was dumped"},
	{GateLaunch, "part of the flags with which the node is to be started is not known"},
	{GateScan, "Scan does not answer from this host: start.sh would start nothing, and the node would stay stopped"},
	{GateBundle, "the node's start.sh, stop.sh or compose.yaml is not where it is expected; cannot be overridden"},
}

// MaxAge is how old a record time may be: the sequencers of a network keep 30 days (domain R17).
const MaxAge = 30 * 24 * time.Hour

// Gate is one reason not to restore.
type Gate struct {
	Name       string `json:"name"`
	Detail     string `json:"detail"` // a sentence
	Overridden bool   `json:"overridden,omitempty"`
}

// NotKnown is a number of bytes that could not be found out.
const NotKnown = math.MinInt64

// Live is what the node is now, as far as it can be asked. Empty fields are not known.
type Live struct {
	Node           string   // of the settings
	Network        string   // of the settings
	Participant    string   // its id, as its database tells it
	ParticipantDB  string   // that the containers use
	Synchronizers  []string // physical ids of the active connections
	ServerVersion  string
	Free           int64 // bytes that may be used of the disk of the server's volume, NotKnown when they cannot be measured
	StagingFree    int64 // bytes for the copy that is fetched
	ToFetch        int64 // bytes, 0 when the set is on this host
	BundleProblem  string
	LaunchProblems []string
	ScanProblem    string
}

// Closed returns the gates that a set does not pass, marked when the operator overrides them.
func Closed(m backupset.Manifest, live Live, now time.Time, override []string) []Gate {
	var gates []Gate
	add := func(name, format string, args ...any) {
		gates = append(gates, Gate{Name: name, Detail: fmt.Sprintf(format, args...), Overridden: name != GateBundle && slices.Contains(override, name)})
	}
	p, _ := m.Component(backupset.Participant)
	evidence := p.ParticipantEvidence
	if evidence == nil || evidence.RecordTime == nil {
		if age := now.Sub(m.Set.Time()); age > MaxAge {
			add(GateAge, "the set is %d days old, and its record time is not known", days(age))
		}
	} else if age := now.Sub(*evidence.RecordTime); age > MaxAge {
		add(GateAge, "the newest transaction in the set is %d days old, networks keep 30: this node could not catch up; onboard it anew from its identities instead", days(age))
	}
	if m.Network != live.Network {
		add(GateNetwork, "the set is of network %s, this node's is %s", m.Network, live.Network)
	}
	switch id := m.ParticipantID(); {
	case live.Participant != "" && id != "" && live.Participant != id:
		add(GateNode, "the set is of %s, this node is %s", id, live.Participant)
	case m.Node != live.Node:
		add(GateNode, "the set is of node %s, this is %s: stop that one for good first, two copies of one participant damage each other", m.Node, live.Node)
	}
	if live.ParticipantDB != "" && live.ParticipantDB != p.Database {
		add(GateMigration, "the set holds database %s, this node uses %s", p.Database, live.ParticipantDB)
	}
	if evidence != nil {
		for _, was := range evidence.Synchronizers {
			for _, is := range live.Synchronizers {
				if a, b, ok := serials(was, is); ok && a < b {
					add(GateSynchronizer, "the set knows synchronizer %s, the node already follows %s: restore is only possible while the old one's nodes still run", was, is)
				}
			}
		}
	}
	if m.Verdict != backupset.Pass {
		var why []string
		for _, c := range m.Checks {
			if c.Verdict != backupset.Pass {
				why = append(why, c.Name+": "+c.Detail)
			}
		}
		add(GatePair, "the pair is %s: %s", m.Verdict, strings.Join(why, "; "))
	}
	need := int64(0)
	for _, c := range m.Components {
		need += Size(c)
	}
	if live.Free != NotKnown && live.Free < need+need/10+live.ToFetch {
		add(GateDisk, "the restored databases need about %d MB beside the old ones, and what is fetched, %d MB; %d MB may be used", (need+need/10)>>20, live.ToFetch>>20, max(0, live.Free)>>20)
	}
	if live.ToFetch > 0 && live.StagingFree < live.ToFetch {
		add(GateDisk, "%d MB are to be fetched, %d MB are free for them", live.ToFetch>>20, live.StagingFree>>20)
	}
	if was, is := major(m.Facts.ServerVersion), major(live.ServerVersion); is > 0 && was > is {
		add(GateServer, "the set was dumped from PostgreSQL %s, this server is %s", m.Facts.ServerVersion, live.ServerVersion)
	}
	if len(live.LaunchProblems) > 0 {
		add(GateLaunch, "not known: %s", strings.Join(live.LaunchProblems, ", "))
	}
	if live.ScanProblem != "" {
		add(GateScan, "%s", live.ScanProblem)
	}
	if live.BundleProblem != "" {
		add(GateBundle, "%s", live.BundleProblem)
	}
	return gates
}

// Size is how many bytes a restored database takes: what it took when it was dumped, or, where that is not recorded, half of its text, which is
// twice as long as the bytes that it spells.
func Size(c backupset.Component) int64 {
	if c.DatabaseSize > 0 {
		return c.DatabaseSize
	}
	return c.PlainSize / 2
}

// Refused returns the gates that stay closed.
func Refused(gates []Gate) []Gate {
	return slices.DeleteFunc(slices.Clone(gates), func(g Gate) bool { return g.Overridden })
}

// Unknown returns the words of an override that no gate has.
func Unknown(override []string) []string {
	return slices.DeleteFunc(slices.Clone(override), func(word string) bool {
		for _, g := range Gates {
			if g.Name == word && word != GateBundle {
				return true
			}
		}
		return false
	})
}

func days(d time.Duration) int { return int(d.Hours() / 24) }

// serials compares the serials of two ids of one synchronizer, "global-domain::1220...::35-4": the number behind the last dash.
func serials(a, b string) (first, second int, ok bool) {
	cut := func(id string) (string, int, bool) {
		i, j := strings.LastIndex(id, "::"), strings.LastIndex(id, "-")
		if i < 0 || j < i {
			return "", 0, false
		}
		n, err := strconv.Atoi(id[j+1:])
		return id[:i], n, err == nil
	}
	nameA, first, okA := cut(a)
	nameB, second, okB := cut(b)
	return first, second, okA && okB && nameA == nameB
}

func major(version string) int {
	digits, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
