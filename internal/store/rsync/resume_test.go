package rsync_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
	"canton-backup/internal/store/rsync"
	"canton-backup/internal/store/storetest"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/internal/testkit/sshd"
)

// killed is what the process that is to be killed is told.
type killed struct {
	Config rsync.Config
	File   store.File
	After  int64 // bytes
}

// TestPutUntilKilled is the body of storetest.Kill's process; in an ordinary run it has nothing to do.
func TestPutUntilKilled(t *testing.T) {
	text := os.Getenv("PUT_UNTIL_KILLED")
	if text == "" {
		return
	}
	var order killed
	require.NoError(t, json.NewDecoder(strings.NewReader(text)).Decode(&order))
	told := false
	_ = open(t, order.Config).Put(t.Context(), "x", order.File, func(n int64) {
		if n >= order.After && !told {
			told = true
			storetest.UnderWay()
		}
	})
}

// The worker is killed at 90 %: what had arrived is not sent again. Its rsync ends with it.
func TestPut_WorkerKilledAt90Percent(t *testing.T) {
	server := sshd.Start(t)
	line := faultproxy.Start(t, address(server))
	line.SetRate(8 << 20)
	const size = 40 << 20
	order := killed{config(server, line.Port(), "node"), storetest.File(t, size), size / 10 * 9}
	text, err := json.Marshal(order)
	require.NoError(t, err)
	storetest.Kill(t, func() {
		// Slowly at the end: what is left must not arrive between the word and the kill.
		require.Eventually(t, func() bool { return line.Sent() > size/10*8 }, time.Minute, 10*time.Millisecond)
		line.SetRate(512 << 10)
	}, "PUT_UNTIL_KILLED="+string(text))
	require.Eventually(t, func() bool { return clients(line.Port()) == 0 }, 30*time.Second, 20*time.Millisecond, "rsync outlives its worker")

	line.SetRate(0)
	s := open(t, order.Config)
	storetest.Absent(t, s, "x")
	before := line.Sent()
	require.NoError(t, s.Put(t.Context(), "x", order.File, nil))
	// No parts there: what lay in the buffers of the line, and rsync's own word, is what is lost.
	require.Less(t, line.Sent()-before, int64(size/4))
	storetest.Holds(t, s, "x", order.File)
}
