// Package workflows says what happens and in which order. It is deterministic: no clock, no randomness, no settings, no I/O but
// through activities; time comes from workflow.Now. Every workflow that an operator may start takes one JSON object, "{}" included.
//
// Backup and Prune are thin: their body runs in a child whose id is the node's lock, see LockID.
package workflows
