package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/config"
)

// A node's runs begin at a moment of its own, the same after every restart, and soon enough that the first is not missed.
func TestOffset(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 50 {
		s := config.Settings{Node: config.Node{Name: fmt.Sprintf("validator-%d", i), Network: "mainnet"}, Every: 4 * time.Hour}
		require.Equal(t, offset(s), offset(s))
		require.Less(t, offset(s), spread)
		seen[offset(s)] = true
		s.Every = time.Minute
		require.Less(t, offset(s), time.Minute)
	}
	require.Greater(t, len(seen), 40, "fifty nodes do not begin together")
}
