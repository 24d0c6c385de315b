package seal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
)

func TestNewDial_LevelsBetweenFloorAndCeiling(t *testing.T) {
	for name, c := range map[string]struct {
		levels backupset.Levels
		want   []int
	}{
		"nothing set": {backupset.Levels{}, []int{1}}, "all": {backupset.Levels{Floor: 1, Ceiling: 7, Link: 1}, []int{1, 3, 7}}, "no link": {backupset.Levels{Floor: 3, Ceiling: 7, Link: 0}, []int{3}}, "one": {backupset.Levels{Floor: 3, Ceiling: 3, Link: 1}, []int{3}},
		"floor alone": {backupset.Levels{Floor: 3, Link: 1}, []int{3}}, "ceiling alone": {backupset.Levels{Ceiling: 3, Link: 1}, []int{1, 3}}, "upper half": {backupset.Levels{Floor: 3, Ceiling: 7, Link: 1}, []int{3, 7}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, newDial(c.levels, 2).levels) })
	}
}

func TestCheapest(t *testing.T) {
	hex := []price{{3e-9, 0.24}, {5e-9, 0.20}, {11e-9, 0.18}} // seconds and bytes for each byte, as measured
	random := []price{{2e-9, 0.51}, {8e-9, 0.52}}
	for name, c := range map[string]struct {
		prices  []price
		workers int
		link    float64
		want    int
	}{
		"10 Gbit/s": {hex, 2, 1.25e9, 0}, "1 Gbit/s": {hex, 2, 125e6, 0}, "100 Mbit/s": {hex, 2, 12.5e6, 1}, "10 Mbit/s": {hex, 2, 1.25e6, 2},
		"10 Mbit/s, nothing to save":          {random, 2, 1.25e6, 0},
		"few cores make work dear":            {hex, 1, 16e6, 0},
		"many cores make it cheap":            {hex, 32, 16e6, 2},
		"one percent is not worth the work":   {[]price{{0, 0.200}, {0, 0.198}}, 2, 1e6, 0},
		"a higher level beside a useless one": {[]price{{0, 0.30}, {0, 0.295}, {0, 0.20}}, 2, 1e6, 2},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, cheapest(c.prices, c.workers, c.link)) })
	}
}

// The text changes on the way: the level follows, and what cannot be made smaller is not tried with all levels.
func TestDial_FollowsTheText(t *testing.T) {
	d := newDial(backupset.Levels{Floor: 1, Ceiling: 7, Link: 1}, 2) // a link so slow that bytes alone count
	sizes := [][]int{{40, 30, 20}, {50, 30, 20}}                     // bytes of 100
	var tasted []int
	turn := func(part int) int {
		return d.turn(make([]byte, 100), func(level int, _ []byte) int {
			tasted = append(tasted, level)
			return sizes[part][level]
		})
	}
	for range tasteEvery {
		require.Equal(t, 2, turn(0))
	}
	require.Equal(t, []int{0, 1, 2}, tasted)
	require.Equal(t, 7, d.most())
	tasted = nil
	for range 2 * tasteEvery {
		require.Equal(t, 0, turn(1))
	}
	require.Equal(t, []int{0, 0}, tasted)
	require.Equal(t, 1, d.most())
}
