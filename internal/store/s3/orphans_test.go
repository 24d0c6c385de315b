package s3

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
	"canton-backup/internal/store/storetest"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/internal/testkit/s3server"
)

// A worker dies between the begin of an upload and its record. A day later the upload is aborted, and nobody else's is.
func TestSweep_UploadThatNoRecordNames(t *testing.T) {
	s3server.Each(t, func(t *testing.T, start func(testing.TB) *s3server.Server) {
		server := start(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begun := false
		addr := faultproxy.HTTP(t, server.Addr, func(r *http.Request) http.Handler {
			if begun && r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/.canton-backup.") {
				cancel() // here the worker is killed
				return faultproxy.S3Error(503, "Busy")
			}
			begun = begun || r.Method == http.MethodPost && r.URL.Query().Has("uploads")
			return nil
		})
		open := func(addr, owner string) *Store {
			s, err := New(Config{Kind: "s3", Endpoint: "http://" + addr, Region: server.Region, Bucket: server.Bucket, Prefix: "shared", PathStyle: true,
				AccessKey: server.AccessKey, SecretKey: server.SecretKey, Owner: owner, PartSize: minPartSize, MaxBackoff: time.Millisecond})
			require.NoError(t, err)
			return s
		}
		client := server.Client()
		uploads := func() (names []string) {
			for _, key := range []string{"shared/x", "shared/x-ray", "other/x"} { // MinIO lists by whole names alone
				found, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(server.Bucket), Prefix: aws.String(key)})
				require.NoError(t, err)
				for _, u := range found.Uploads {
					if *u.Key == key {
						names = append(names, *u.UploadId)
					}
				}
			}
			return names
		}
		stranger := func(key string, parts int) string {
			made, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(server.Bucket), Key: aws.String(key)})
			require.NoError(t, err)
			for n := range int32(parts) {
				_, err := client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(server.Bucket), Key: aws.String(key),
					UploadId: made.UploadId, PartNumber: aws.Int32(n + 1), Body: strings.NewReader("bytes of a stranger")})
				require.NoError(t, err)
			}
			return *made.UploadId
		}
		file := storetest.File(t, 2*minPartSize)
		require.ErrorIs(t, open(addr, "node").Put(ctx, "x", file, nil), context.Canceled)
		require.Len(t, uploads(), 1)
		orphan := uploads()[0]

		others := []string{stranger("shared/x", 1), stranger("shared/x-ray", 0), stranger("other/x", 0)}
		neighbour := open(server.Addr, "neighbour") // another node in the same folder, with an upload of the same name under way
		announced, err := neighbour.announce(t.Context(), "x", minPartSize)
		require.NoError(t, err)
		require.NoError(t, neighbour.remove(t.Context(), announced))
		up, _, err := neighbour.beginUpload(t.Context(), "x", storetest.File(t, 3*minPartSize))
		require.NoError(t, err)
		others = append(others, up.ID)

		s := open(server.Addr, "node")
		_, err = s.Sweep(t.Context())
		require.NoError(t, err)
		require.Contains(t, uploads(), orphan, "a young one may be another attempt's")

		s.now = func() time.Time { return time.Now().Add(orphanAge + time.Minute) }
		swept, err := s.Sweep(t.Context())
		require.NoError(t, err)
		require.Len(t, swept, 1)
		require.ElementsMatch(t, others, uploads())
		swept, err = s.Sweep(t.Context())
		require.NoError(t, err)
		require.Empty(t, swept)
		require.NoError(t, s.Put(t.Context(), "x", file, nil))
		storetest.Holds(t, store.Store(s), "x", file)
	})
}
