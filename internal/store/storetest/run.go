package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store/prove"
)

// Run checks the contract: what internal/store/prove checks on an operator's place, and what takes a server of one's own. place is called once a test, and returns a fresh, empty place each time.
func Run(t *testing.T, place func(t *testing.T) *Place) {
	for _, c := range prove.Checks() {
		t.Run("prove/"+c.Name, func(t *testing.T) {
			p := place(t)
			require.NoError(t, c.Run(t.Context(), p.Slow, p.SlowSize, t.TempDir()))
			require.Empty(t, names(t, p.Store))
			require.Empty(t, p.Leftovers(t))
		})
	}
	for _, c := range []struct {
		name string
		run  func(t *testing.T, p *Place)
	}{
		{"Put/round trips every size", roundTripSizes},
		{"Put/round trips every name", roundTripNames},
		{"Put/refuses names that are none", refuseNames},
		{"Put/same content again sends nothing", putAgain},
		{"Put/other content is ErrExists and stays", putOther},
		{"Put/wrong digest or size is ErrCorrupt", putWrongFile},
		{"Put/source changed while sent is ErrCorrupt", putChangedSource},
		{"Put/shows nothing before it is whole", putInvisible},
		{"Put/cancelled before changes nothing", cancelledBefore},
		{"Put/cancelled in the middle goes on later", cancelledMid},
		{"Put/killed in the middle goes on later", killedMid},
		{"Put/leftover of other content does no harm", leftoverOfOther},
		{"Put/two at once of the same content", putTwiceAtOnce},
		{"Put/two at once of different content", putRace},
		{"Open/of no bytes", openEmpty},
		{"Open/ends with its context", openCancelled},
		{"Open/altered object shows", openDamaged},
		{"ReadAll/many small ones at once, where the store can", readBatch},
		{"List/sorted, with foreign files, without unfinished ones", list},
		{"List/empty place", listEmpty},
		{"Delete/only the named, absent is success", deleteNamed},
		{"Sweep/own leftovers only", sweep},
		{"Check/leaves nothing", check},
		{"Scratch/is seen by nobody and goes", scratch},
		{"every method obeys its context", obeysContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, place(t)) })
	}
}
