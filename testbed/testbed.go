// Package testbed runs our double of the Splice docker-compose validator for tests, the demo and the benchmark: a real PostgreSQL in a
// real container under the real names, and a small program that writes as participant and validator app do.
//
// Up makes a node, Down removes every trace of it. A test calls Start, which does both and first sweeps what a killed run left.
package testbed

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
)

// DefaultProject is the Compose project of a real node. Tests leave it to the demo.
const DefaultProject = "splice-validator"

// User is the superuser of every node, as in the real bundle.
const User = "cnadmin"

// Flavour is the generation of a bundle: it decides how the participant database gets its name.
type Flavour string

// The flavours.
const (
	Legacy  Flavour = "legacy"  // before 0.6.8: participant-<migration id>, and start.sh insists on -m
	Current Flavour = "current" // since 0.6.8: participant, or participant-<migration id> with -m; refuses a second participant database
)

// version is the Splice version a flavour says it is.
func (f Flavour) version() string {
	if f == Legacy {
		return "0.6.4"
	}
	return "0.7.0"
}

// Options say what node to make. The zero value is a node of today under a project name of its own that ends with its maker.
type Options struct {
	// Dir is the operator's home: the bundle goes to Dir/.canton/<version>/splice-node/docker-compose/validator, and
	// Dir/.canton/current points to <version>. It must exist.
	Dir string
	// Project is the Compose project. Empty: a unique one.
	Project string
	// Flavour is Current when empty.
	Flavour Flavour
	// MigrationID is what start.sh gets as -m. Empty: none for Current, "1" for Legacy. The stores hold rows of the id before, with
	// a huge offset, unless it is "0".
	MigrationID string
	// PostgresMajor is 13, 15 or 17. Zero: 15.
	PostgresMajor int
	// FillMB is how many MB (10^6 bytes) of incompressible data the node starts with.
	FillMB int
	// PartyHint names the validator. Empty: testbed-validator-1.
	PartyHint string
	// Run labels all that is made, for Sweep.
	Run string
	// Keep makes a node that outlives the process that made it. SweepDead leaves it alone, and Up refuses to replace it.
	Keep bool
	// Quiet makes a node that writes nothing: its offsets stay those of a fresh one.
	Quiet bool
	// Strict makes the validator app refuse a pair whose offset is beyond the ledger end. The real one does not.
	Strict bool
	// NoSync turns fsync off. Quicker, and of no use for a benchmark or a crash test.
	NoSync bool
	// Auth starts the node with -a: the well-known secret opens nothing then, AuthSecret does.
	Auth bool
	// HTTPPort is nginx's port on the host's loopback. Zero: any free one.
	HTTPPort int
}

var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// resolved is the options with every default written out, or what is wrong with them.
func (o Options) resolved() (Options, error) {
	if o.Dir == "" {
		return o, fmt.Errorf("read testbed options: Dir is empty")
	}
	if o.Project == "" {
		o.Project = "splice-" + randomHex(4)
	}
	if !projectName.MatchString(o.Project) {
		return o, fmt.Errorf("read testbed options: %q is no project name", o.Project)
	}
	if o.Flavour == "" {
		o.Flavour = Current
	}
	if o.Flavour != Current && o.Flavour != Legacy {
		return o, fmt.Errorf("read testbed options: %q is no flavour", o.Flavour)
	}
	if o.Flavour == Legacy && o.MigrationID == "" {
		o.MigrationID = "1"
	}
	if o.PostgresMajor == 0 {
		o.PostgresMajor = DefaultPostgresMajor
	}
	if _, ok := suites[o.PostgresMajor]; !ok {
		return o, fmt.Errorf("read testbed options: there is no PostgreSQL %d here, only 13, 15 and 17", o.PostgresMajor)
	}
	if o.PartyHint == "" {
		o.PartyHint = "testbed-validator-1"
	}
	return o, nil
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}
