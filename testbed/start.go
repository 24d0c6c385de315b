package testbed

import (
	"context"
	"strings"
	"time"
)

// TB is what Start needs of *testing.T and *testing.B.
type TB interface {
	Helper()
	Name() string
	TempDir() string
	Context() context.Context
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Start makes a node that ends with the test: it first sweeps what killed tests left, and prints the containers' last words when the
// test fails. An empty Options.Dir is a folder of the test's.
func Start(t TB, o Options) *Node {
	t.Helper()
	if err := SweepDead(t.Context()); err != nil {
		t.Fatalf("%v", err)
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Run == "" {
		o.Run = strings.ToLower(strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()))
	}
	n, err := Up(t.Context(), o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		// The test's own context is cancelled by now.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if t.Failed() {
			t.Logf("last words of node %s:\n%s", n.Project, n.lastWords(ctx))
		}
		if err := n.Down(ctx); err != nil {
			t.Errorf("%v", err)
		}
	})
	return n
}
