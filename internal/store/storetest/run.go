package storetest

import "testing"

// Run checks the contract. place is called once a test, and returns a fresh, empty place each time.
func Run(t *testing.T, place func(t *testing.T) *Place) {
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
		{"Open/from an offset", openOffset},
		{"Open/absent is ErrNotFound", openAbsent},
		{"Open/ends with its context", openCancelled},
		{"Open/altered object shows", openDamaged},
		{"ReadAll/many small ones at once, where the store can", readBatch},
		{"List/sorted, with foreign files, without unfinished ones", list},
		{"List/empty place", listEmpty},
		{"Delete/only the named, absent is success", deleteNamed},
		{"Sweep/own leftovers only", sweep},
		{"Check/leaves nothing", check},
		{"every method obeys its context", obeysContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, place(t)) })
	}
}
