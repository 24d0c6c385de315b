package temporalserver

import (
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ownListeners lists the addresses on which this process listens.
func ownListeners(t *testing.T) []net.IP {
	t.Helper()
	mine := map[string]bool{}
	fds, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, "socket:[") {
			mine[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")] = true
		}
	}
	var ips []net.IP
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table)
		require.NoError(t, err)
		for _, line := range strings.Split(string(text), "\n")[1:] {
			f := strings.Fields(line)
			const listening = "0A"
			if len(f) < 10 || f[3] != listening || !mine[f[9]] {
				continue
			}
			raw, err := hex.DecodeString(strings.Split(f[1], ":")[0])
			require.NoError(t, err)
			for word := range slices.Chunk(raw, 4) { // each word is in the host's order, little-endian here
				slices.Reverse(word)
			}
			ips = append(ips, net.IP(raw))
		}
	}
	return ips
}
