// Package fleet proves that one Temporal cluster carries many nodes: it measures how late their runs begin. It holds nothing but tests, and takes
// the machine for some minutes, so nothing timed should run beside it.
package fleet
