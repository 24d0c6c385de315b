package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/health"
	"canton-backup/internal/store"
)

// listed is one set in the output of `list`; with --json this is the contract.
type listed struct {
	Set      backupset.ID      `json:"set"`
	SealedAt time.Time         `json:"sealed_at"`
	Node     string            `json:"node"`
	Network  string            `json:"network"`
	Own      bool              `json:"own"` // of this node, and of its participant as the newest set here tells it
	Bytes    int64             `json:"bytes"`
	Verdict  backupset.Verdict `json:"verdict"`
	Stores   []string          `json:"stores"`
	Damage   []string          `json:"damage,omitempty"`
	Pinned   []string          `json:"pinned,omitempty"` // "store: reason" of each store in which a pin keeps it
	Reason   string            `json:"reason,omitempty"`

	Participant string `json:"participant,omitempty"` // its id
}

// whose says which node another's set is of.
func (l listed) whose() string {
	text := fmt.Sprintf("node %s (%s)", l.Node, l.Network)
	if l.Participant != "" {
		text += ", participant " + l.Participant
	}
	return text
}

func newList(c *command) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the sealed sets, here and at the targets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.settings()
			if err != nil {
				return err
			}
			all, errs := shelves(cmd.Context(), s, "")
			sets := merge(all)
			for _, shelf := range all {
				for _, u := range shelf.Listing.Unreadable {
					fmt.Fprintf(c.talk(), "warning: %s: %s\n", shelf.Name, u)
				}
			}
			return errors.Join(c.print(sets, func(w io.Writer) error { return printSets(w, sets, time.Now()) }), errs)
		},
	}
}

// merge joins what the stores hold, newest first.
func merge(all []health.Shelf) []listed {
	sets := []listed{}
	index := map[string]int{}
	for _, shelf := range all {
		for _, e := range shelf.Listing.Sets {
			m := e.Manifest
			key := strings.Join([]string{string(m.Set), m.Node, m.Network, m.ParticipantID()}, "/")
			i, there := index[key]
			if !there {
				i = len(sets)
				index[key] = i
				sets = append(sets, listed{Set: m.Set, SealedAt: m.SealedAt, Node: m.Node, Network: m.Network, Own: e.Own, Bytes: m.Bytes(), Verdict: m.Verdict, Reason: m.Reason, Participant: m.ParticipantID()})
			}
			sets[i].Stores = append(sets[i].Stores, shelf.Name)
			if e.Damage != "" {
				sets[i].Damage = append(sets[i].Damage, shelf.Name+": "+e.Damage)
			}
			if e.Pinned != "" {
				sets[i].Pinned = append(sets[i].Pinned, shelf.Name+": "+e.Pinned)
			}
		}
	}
	slices.SortStableFunc(sets, func(a, b listed) int { return strings.Compare(string(b.Set), string(a.Set)) })
	return sets
}

func printSets(w io.Writer, sets []listed, now time.Time) error {
	if len(sets) == 0 {
		_, err := fmt.Fprintln(w, "No sealed set yet. Make one with: canton-backup backup")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SET\tAGE\tSIZE\tPAIR\tSTORES\tNOTE")
	for _, s := range sets {
		note := strings.Join(s.Damage, "; ")
		if !s.Own {
			note = strings.TrimPrefix(note+"; of "+s.whose(), "; ")
		}
		if s.Reason != "" {
			note = strings.TrimPrefix(note+"; "+s.Reason, "; ")
		}
		if len(s.Pinned) > 0 {
			note = strings.TrimPrefix(note+"; pinned "+strings.Join(s.Pinned, ", "), "; ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Set, age(now.Sub(s.Set.Time())), humanize.IBytes(uint64(s.Bytes)), s.Verdict, strings.Join(s.Stores, ","), note)
	}
	return t.Flush()
}

func age(d time.Duration) string {
	switch {
	case d < 0:
		return "in the future"
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}

func newShow(c *command) *cobra.Command {
	return &cobra.Command{
		Use: "show [SET|latest]", Short: "Show a set's manifest", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := c.settings()
			if err != nil {
				return err
			}
			set, err := find(cmd.Context(), s, pick(args))
			if err != nil {
				return err
			}
			return c.print(set, func(w io.Writer) error { return printManifest(w, set) })
		},
	}
}

func pick(args []string) string {
	if len(args) == 0 {
		return catalog.Latest
	}
	return args[0]
}

// shown is the output of `show`: the manifest, and what the stores say of the set; with --json this is the contract.
type shown struct {
	backupset.Manifest
	Pinned map[string]string `json:"pinned,omitempty"` // store -> why a pin keeps the set there
	where  []string
}

// find looks for a set, in this host's store first, and says in which stores it is.
func find(ctx context.Context, s config.Settings, id string) (shown, error) {
	all, errs := shelves(ctx, s, "")
	if latest, found := newest(all, time.Now()); found && id == catalog.Latest {
		id = latest
	}
	set := shown{Pinned: map[string]string{}}
	for _, shelf := range all {
		e, err := shelf.Listing.Find(id, time.Now())
		if err != nil {
			continue
		}
		if len(set.where) == 0 {
			set.Manifest = e.Manifest
		}
		set.where = append(set.where, shelf.Name)
		if e.Pinned != "" {
			set.Pinned[shelf.Name] = e.Pinned
		}
	}
	if len(set.where) == 0 {
		if errs != nil {
			return shown{}, errs
		}
		return shown{}, fmt.Errorf("find set %s: %w: see canton-backup list", id, store.ErrNotFound)
	}
	return set, nil
}

func printManifest(w io.Writer, set shown) error {
	m := set.Manifest
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(t, "%s\t%v\n", name, value) }
	row("set", m.Set)
	row("node", fmt.Sprintf("%s (%s)", m.Node, m.Network))
	row("sealed", m.SealedAt.Format(time.RFC3339)+" by "+m.Program)
	row("stores", strings.Join(set.where, ", "))
	for _, name := range slices.Sorted(maps.Keys(set.Pinned)) {
		row("pinned", name+": "+set.Pinned[name])
	}
	row("pair", m.Verdict)
	for _, check := range m.Checks {
		row("  "+check.Name, fmt.Sprintf("%s  %s", check.Verdict, check.Detail))
	}
	for _, comp := range m.Components {
		row(string(comp.Role), fmt.Sprintf("%s  %s, %s of SQL", comp.File, humanize.IBytes(uint64(comp.Size)), humanize.IBytes(uint64(comp.PlainSize))))
		row("  sha256", comp.SHA256)
		if comp.Role != backupset.Identities {
			row("  WAL", fmt.Sprintf("%s to %s", comp.StartLSN, comp.EndLSN))
			row("  snapshot held", comp.SnapshotHeld().Round(time.Second/10))
		}
	}
	if p, ok := m.Component(backupset.Participant); ok && p.ParticipantEvidence != nil {
		e := p.ParticipantEvidence
		row("participant id", strings.Join(e.NodeIDs, ", "))
		row("private keys", fmt.Sprintf("%d, %d of them wrapped; %d in a KMS", e.PrivateKeys, e.WrappedKeys, e.KMSKeys))
		if e.RecordTime != nil {
			row("record time", e.RecordTime.Format(time.RFC3339))
		}
	}
	row("server", fmt.Sprintf("PostgreSQL %s, data checksums %s", m.Facts.ServerVersion, m.Facts.DataChecksums))
	row("compose", fmt.Sprintf("project %s in %s", m.Facts.Project, m.Facts.WorkingDir))
	return t.Flush()
}
