// Package activities has one thin adapter for each step of a run: it decodes the input, calls the domain, reports progress by
// heartbeats and maps errors. Inputs, results and heartbeats are stored in Temporal's history: they hold no secret and stay small.
//
// Every activity reads the settings afresh and may run more than once, also beside an attempt that lost its worker: attempts
// write under names of their own, and what they publish is published whole or not at all.
package activities
