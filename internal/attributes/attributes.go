// Package attributes names the search attributes of our workflows: what lists in the Temporal UI show and can be asked for.
package attributes

import "go.temporal.io/sdk/temporal"

// The search attributes. They are stored in clear and never hold a secret.
var (
	// Node is the name of the node that a run works on.
	Node = temporal.NewSearchAttributeKeyKeyword("CantonNode")
	// Network is the node's network: devnet, testnet or mainnet.
	Network = temporal.NewSearchAttributeKeyKeyword("CantonNetwork")
	// Set is the id of the set that a run makes, restores or drills.
	Set = temporal.NewSearchAttributeKeyKeyword("BackupSet")
	// Outcome is how a run ended, in one word.
	Outcome = temporal.NewSearchAttributeKeyKeyword("BackupOutcome")
	// Bytes is the stored size of the set in bytes.
	Bytes = temporal.NewSearchAttributeKeyInt64("BackupBytes")
)

// All lists them, in the order in which they are made and named in errors.
func All() []temporal.SearchAttributeKey {
	return []temporal.SearchAttributeKey{Node, Network, Set, Outcome, Bytes}
}
