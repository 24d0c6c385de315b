package s3_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/secret"
	"canton-backup/internal/store"
	"canton-backup/internal/store/s3"
	"canton-backup/internal/store/storetest"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/internal/testkit/s3server"
)

const (
	partSize = 5 << 20
	prefix   = "it's a prefix/mainnet"
	slowSize = 3*partSize + 17
)

// config is what tests share: small parts, quick retries.
func config(server *s3server.Server, addr, owner string) s3.Config {
	return s3.Config{
		Kind: "s3", Endpoint: "http://" + addr, Region: server.Region, Bucket: server.Bucket, Prefix: prefix, PathStyle: true,
		AccessKey: server.AccessKey, SecretKey: server.SecretKey, Owner: owner, PartSize: partSize, MaxBackoff: 50 * time.Millisecond,
	}
}

func open(t testing.TB, cfg s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.New(cfg)
	require.NoError(t, err)
	return s
}

func TestStore_Contract(t *testing.T) {
	s3server.Each(t, func(t *testing.T, start func(testing.TB) *s3server.Server) {
		server := start(t)
		storetest.Run(t, func(t *testing.T) *storetest.Place {
			server, line := server.Fresh(t), faultproxy.Start(t, server.Addr)
			p := place(t, server, line.Addr())
			p.Sent = line.Sent
			return p
		})
	})
}

// On a line that is slow, pauses and is cut again and again, every sentence of the contract holds as well.
func TestStore_ContractOnABadLine(t *testing.T) {
	s3server.Each(t, func(t *testing.T, start func(testing.TB) *s3server.Server) {
		server, cuts := start(t), 0
		storetest.Run(t, func(t *testing.T) *storetest.Place {
			server, line := server.Fresh(t), faultproxy.Start(t, server.Addr)
			line.Storm(partSize, 6*partSize)
			t.Cleanup(func() { cuts += line.Cuts() })
			p := place(t, server, line.Addr())
			p.Store, p.Foreign = storetest.Insist(p.Store), storetest.Insist(p.Foreign)
			p.Slow, p.SlowForeign = p.Store, p.Foreign
			return p
		})
		require.Greater(t, cuts, 10, "the line was bad")
	})
}

func place(t *testing.T, server *s3server.Server, addr string) *storetest.Place {
	own, foreign := open(t, config(server, addr, "node.1")), open(t, config(server, addr, "node"))
	return &storetest.Place{
		Store: own, Foreign: foreign, Slow: own, SlowForeign: foreign, SlowSize: slowSize, PartSize: partSize,
		Abandon: func(t *testing.T, slow store.Store, name string, file store.File) {
			require.Error(t, storetest.Interrupt(t, slow, name, file))
		},
		Leftovers: func(t *testing.T) []string { return leftovers(t, server) },
		PutRaw: func(t *testing.T, name string, data []byte) {
			putRaw(t, server, prefix+"/"+name, data)
		},
		RawNames: []string{"it's", " ", "a+b", "100%", "%41", "new\nline"},
		Damage:   func(t *testing.T, name string) { server.Damage(t, prefix+"/"+name) },
	}
}

func putRaw(t testing.TB, server *s3server.Server, key string, data []byte) {
	t.Helper()
	_, err := server.Client().PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String(server.Bucket), Key: aws.String(key), Body: bytes.NewReader(data)})
	require.NoError(t, err)
}

// leftovers lists the records of uploads and the open uploads.
func leftovers(t testing.TB, server *s3server.Server) []string {
	t.Helper()
	var found []string
	objects, err := server.Client().ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{
		Bucket: aws.String(server.Bucket), Prefix: aws.String(prefix + "/.canton-backup.")})
	require.NoError(t, err)
	for _, o := range objects.Contents {
		found = append(found, *o.Key)
	}
	uploads, err := server.Client().ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: aws.String(server.Bucket)})
	require.NoError(t, err)
	for _, u := range uploads.Uploads {
		found = append(found, fmt.Sprintf("upload %s of %s", *u.UploadId, *u.Key))
	}
	return found
}

func TestNew_ReportsAllErrors(t *testing.T) {
	_, err := s3.New(s3.Config{Kind: "ftp", PartSize: 1, Endpoint: "http://user:canary-4711@host", SecretKey: secret.New("")})
	for _, part := range []string{"kind", "endpoint", "bucket", "access key", "secret key", "part size", "owner"} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "canary-4711")
}
