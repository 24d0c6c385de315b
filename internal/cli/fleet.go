package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"canton-backup/internal/config"
	"canton-backup/internal/fleet"
	"canton-backup/internal/health"
	"canton-backup/internal/temporalclient"
)

var errFleet = errors.New("a node of the fleet is FAILED")

// fleet shows all nodes of the namespace. A machine that has the cluster's address needs no settings file for it.
func (c *command) fleet(ctx context.Context) error {
	var s config.Settings
	if !temporalclient.Configured(nil) {
		var err error
		if s, err = c.settings(); err != nil {
			return err
		}
	}
	cl, err := dial(ctx, s)
	if err != nil {
		return err
	}
	defer cl.Close()
	nodes, err := fleet.Nodes(ctx, cl)
	if len(nodes) > 0 || err == nil {
		err = errors.Join(err, c.print(nodes, func(w io.Writer) error { return printFleet(w, nodes, time.Now()) }))
	}
	if err == nil && len(nodes) > 0 && nodes[0].Verdict == fleet.Failed {
		return &exitError{ExitFailed, errFleet}
	}
	return err
}

func printFleet(w io.Writer, nodes []fleet.Node, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	p := &printer{w: table}
	p.linef("VERDICT\tNODE\tNETWORK\tEVERY\tLAST RUN\tNEXT\tWORKER\tWHY")
	count := map[health.Verdict]int{}
	for _, n := range nodes {
		count[n.Verdict]++
		last, next := "-", "-"
		if n.Last != nil {
			last = fmt.Sprintf("%s %s ago", n.Last.Status, age(now.Sub(n.Last.Started)))
		}
		switch {
		case n.Running:
			next = "running"
		case n.Paused:
			next = "PAUSED"
		case n.Next != nil:
			next = "in " + age(n.Next.Sub(now))
		}
		network := n.Network
		if network == "" {
			network = "-"
		}
		// A reason may be an error's text: it stays on its line.
		why := clip(strings.Join(strings.Fields(n.Reason), " "), 120)
		line := fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", n.Verdict, n.Name, network, n.Every, last, next, n.Worker, why)
		p.linef("%s", strings.TrimRight(line, "\t"))
	}
	if p.err == nil {
		p.err = table.Flush()
	}
	p.w = w
	p.linef("%d nodes: %d OK, %d WARNING, %d FAILED", len(nodes), count[fleet.OK], count[fleet.Warning], count[fleet.Failed])
	return p.err
}
