package s3_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/secret"
	"canton-backup/internal/store"
	"canton-backup/internal/store/s3"
	"canton-backup/internal/store/storetest"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/internal/testkit/s3server"
)

// killed is what the process of putAndKill is told. The secret is the test server's.
type killed struct {
	Endpoint, Region, Bucket, AccessKey, Secret string
	File                                        store.File
	After                                       int64 // bytes
}

// putAndKill puts the file in a process of its own and kills that with SIGKILL once so many bytes are at the server.
func putAndKill(t *testing.T, cfg s3.Config, file store.File, after int64) {
	t.Helper()
	order, err := json.Marshal(killed{cfg.Endpoint, cfg.Region, cfg.Bucket, cfg.AccessKey, cfg.SecretKey.Reveal(), file, after})
	require.NoError(t, err)
	storetest.Kill(t, nil, "PUT_UNTIL_KILLED="+string(order))
}

// TestPutUntilKilled is the body of putAndKill's process; in an ordinary run it has nothing to do.
func TestPutUntilKilled(t *testing.T) {
	text := os.Getenv("PUT_UNTIL_KILLED")
	if text == "" {
		return
	}
	var order killed
	require.NoError(t, json.NewDecoder(strings.NewReader(text)).Decode(&order))
	_ = open(t, s3.Config{
		Kind: "s3", Endpoint: order.Endpoint, Region: order.Region, Bucket: order.Bucket, Prefix: prefix, PathStyle: true,
		AccessKey: order.AccessKey, SecretKey: secret.New(order.Secret), Owner: "node", PartSize: partSize,
	}).Put(t.Context(), "x", order.File, func(n int64) {
		if n >= order.After {
			storetest.UnderWay()
			select {}
		}
	})
}

// Cut at 90 %, by the death of the worker or of the line, an upload sends at most the parts that were under way again.
func TestPut_CutAt90Percent(t *testing.T) {
	const parts, headers = 10, 100_000
	s3server.Each(t, func(t *testing.T, start func(testing.TB) *s3server.Server) {
		server := start(t)
		for what, cut := range map[string]func(t *testing.T, cfg s3.Config, line *faultproxy.TCP, file store.File){
			"worker killed": func(t *testing.T, cfg s3.Config, _ *faultproxy.TCP, file store.File) {
				putAndKill(t, cfg, file, (parts-1)*partSize)
			},
			"line cut": func(t *testing.T, cfg s3.Config, line *faultproxy.TCP, file store.File) {
				cfg.Attempts = 1
				err := open(t, cfg).Put(t.Context(), "x", file, func(n int64) {
					if n >= (parts-1)*partSize {
						line.CutNow()
						line.CutAfter(0, 1_000_000)
					}
				})
				require.Error(t, err)
				line.Heal()
			},
		} {
			t.Run(what, func(t *testing.T) {
				server, line := server.Fresh(t), faultproxy.Start(t, server.Addr)
				cfg := config(server, line.Addr(), "node")
				file := storetest.File(t, parts*partSize)
				cut(t, cfg, line, file)
				s := open(t, cfg)
				storetest.Absent(t, s, "x")
				before := line.Sent()
				require.NoError(t, s.Put(t.Context(), "x", file, nil))
				require.LessOrEqual(t, line.Sent()-before, int64(partSize+headers), "one part of ten was missing")
				storetest.Holds(t, s, "x", file)
				require.Empty(t, leftovers(t, server))
			})
		}
	})
}
