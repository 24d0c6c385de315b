package s3_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

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

// through opens a store whose requests pass the rule.
func through(t *testing.T, server *s3server.Server, rule faultproxy.Rule) *s3.Store {
	return open(t, config(server, faultproxy.HTTP(t, server.Addr, rule), "node"))
}

func isPart(r *http.Request) bool {
	return r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
}

func isComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

func TestPut_ServerBusy(t *testing.T) {
	server := s3server.Start(t)
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			var storm, met atomic.Int64
			s := through(t, server, func(r *http.Request) http.Handler {
				if isPart(r) && storm.Add(-1) >= 0 {
					met.Add(1)
					return faultproxy.S3Error(status, "Busy")
				}
				return nil
			})
			name := "x" + strconv.Itoa(status)
			file := storetest.File(t, slowSize)
			storm.Store(3)
			require.NoError(t, s.Put(t.Context(), name, file, nil), "a short storm is waited out")
			require.Equal(t, int64(3), met.Load())
			storetest.Holds(t, s, name, file)

			storm.Store(1_000_000)
			err := s.Put(t.Context(), name+"-long", file, nil)
			require.ErrorContains(t, err, "server is busy")
			require.ErrorContains(t, err, strconv.Itoa(status))
			require.LessOrEqual(t, met.Load(), int64(3+2*s3.DefaultAttempts), "tries are bounded")
			storm.Store(0)
			storetest.Absent(t, s, name+"-long")
		})
	}
}

func TestErrors_AreTyped(t *testing.T) {
	server := s3server.Start(t)
	for _, c := range []struct {
		status int
		code   string
		want   error
	}{
		{403, "AccessDenied", store.ErrDenied},
		{403, "SomethingElse", store.ErrDenied},
		{401, "Unauthorized", store.ErrDenied},
		{403, "RequestTimeTooSkewed", store.ErrDenied},
		{400, "ExpiredToken", store.ErrDenied},
		{404, "NoSuchBucket", store.ErrNoBucket},
		{507, "XMinioStorageFull", store.ErrFull},
		{403, "QuotaExceeded", store.ErrFull},
	} {
		t.Run(c.code, func(t *testing.T) {
			s := through(t, server, func(r *http.Request) http.Handler {
				if r.Method == http.MethodHead {
					return faultproxy.S3Error(404, "")
				}
				return faultproxy.S3Error(c.status, c.code)
			})
			file := storetest.Bytes(t, "x")
			require.ErrorIs(t, s.Put(t.Context(), "x", file, nil), c.want)
			require.ErrorIs(t, s.Put(t.Context(), "x", storetest.File(t, partSize+1), nil), c.want)
			require.ErrorIs(t, s.Check(t.Context()), c.want)
			require.ErrorIs(t, s.Delete(t.Context(), "x"), c.want)
			_, err := s.List(t.Context())
			require.ErrorIs(t, err, c.want)
			_, err = s.Open(t.Context(), "x", 0)
			require.ErrorIs(t, err, c.want)
			_, err = s.Sweep(t.Context())
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestErrors_FromTheServerItself(t *testing.T) {
	server := s3server.Start(t)
	cfg := config(server, server.Addr, "node")
	cfg.SecretKey = secret.New("canary-secret-4711")
	s := open(t, cfg)
	err := s.Check(t.Context())
	require.ErrorIs(t, err, store.ErrDenied)
	require.NotContains(t, err.Error(), "canary-secret-4711")
	err = s.Put(t.Context(), "x", storetest.Bytes(t, "x"), nil)
	require.ErrorIs(t, err, store.ErrDenied)

	cfg = config(server, server.Addr, "node")
	cfg.Bucket = "absent"
	s = open(t, cfg)
	require.ErrorIs(t, s.Check(t.Context()), store.ErrNoBucket)
	require.ErrorIs(t, s.Put(t.Context(), "x", storetest.Bytes(t, "x"), nil), store.ErrNoBucket)
	_, err = s.List(t.Context())
	require.ErrorIs(t, err, store.ErrNoBucket)
}

func TestCheck_NamesWhatIsForbidden(t *testing.T) {
	server := s3server.Start(t)
	for verb, forbidden := range map[string]func(r *http.Request) bool{
		"list":   func(r *http.Request) bool { return r.URL.Query().Has("list-type") },
		"write":  func(r *http.Request) bool { return r.Method == http.MethodPut },
		"read":   func(r *http.Request) bool { return r.Method == http.MethodGet && !r.URL.Query().Has("list-type") },
		"delete": func(r *http.Request) bool { return r.Method == http.MethodDelete },
	} {
		s := through(t, server, func(r *http.Request) http.Handler {
			if forbidden(r) {
				return faultproxy.S3Error(403, "AccessDenied")
			}
			return nil
		})
		err := s.Check(t.Context())
		require.ErrorIs(t, err, store.ErrDenied, verb)
		require.ErrorContains(t, err, ": "+verb+":")
		require.Equal(t, verb == "delete", errors.Is(err, store.ErrNoDelete), "backups work without the right to delete alone")
	}
}

// A key that may not delete: what is stored stays out of reach of whoever takes over the host.
func TestPut_WithoutTheRightToDelete(t *testing.T) {
	server := s3server.Start(t)
	s := through(t, server, func(r *http.Request) http.Handler {
		if r.Method == http.MethodDelete {
			return faultproxy.S3Error(403, "AccessDenied")
		}
		return nil
	})
	for range 2 {
		require.ErrorIs(t, s.Check(t.Context()), store.ErrNoDelete)
	}
	for name, size := range map[string]int64{"small": 10, "large": slowSize} {
		file := storetest.File(t, size)
		require.NoError(t, s.Put(t.Context(), name, file, nil))
		require.NoError(t, s.Put(t.Context(), name, file, nil))
		storetest.Holds(t, s, name, file)
		require.ErrorIs(t, s.Delete(t.Context(), name), store.ErrDenied)
	}
	require.NotEmpty(t, leftovers(t, server))
	_, err := open(t, config(server, server.Addr, "node")).Sweep(t.Context())
	require.NoError(t, err)
	for _, left := range leftovers(t, server) {
		require.NotContains(t, left, "check", "once a key may delete, the probes go")
	}
}

// Doctor looks while the worker looks, or clears what interrupted uploads left.
func TestCheck_BesideAnother(t *testing.T) {
	server := s3server.Start(t)
	other := open(t, config(server, server.Addr, "node"))
	for name, meanwhile := range map[string]func() error{
		"Check": func() error { return other.Check(t.Context()) },
		"Sweep": func() error { _, err := other.Sweep(t.Context()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			var once sync.Once
			s := through(t, server, func(r *http.Request) http.Handler {
				if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".check.partial") {
					once.Do(func() {
						if err := meanwhile(); err != nil {
							t.Error(err)
						}
					})
				}
				return nil
			})
			require.NoError(t, s.Check(t.Context()))
			require.Empty(t, leftovers(t, server))
		})
	}
}

// A server may answer "200 OK" to a complete-multipart and put the error into the body.
func TestPut_CompleteAnswers200WithAnError(t *testing.T) {
	server := s3server.Start(t)
	var broken atomic.Bool
	broken.Store(true)
	s := through(t, server, func(r *http.Request) http.Handler {
		if isComplete(r) && broken.Load() {
			return faultproxy.S3Error(200, "InternalError")
		}
		return nil
	})
	file := storetest.File(t, slowSize)
	err := s.Put(t.Context(), "x", file, nil)
	require.ErrorContains(t, err, "InternalError")
	storetest.Absent(t, s, "x")
	broken.Store(false)
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	storetest.Holds(t, s, "x", file)
}

// The answer to a complete-multipart that succeeded gets lost: the object is there, the upload is not.
func TestPut_CompleteAnswerLost(t *testing.T) {
	server := s3server.Start(t)
	direct := faultproxy.HTTP(t, server.Addr, func(*http.Request) http.Handler { return nil })
	var lost atomic.Int64
	s := through(t, server, func(r *http.Request) http.Handler {
		if !isComplete(r) || lost.Add(1) > 1 {
			return nil
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			again, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+direct+r.URL.RequestURI(), r.Body)
			if err == nil {
				again.Header, again.Host, again.ContentLength = r.Header, r.Host, r.ContentLength
				var done *http.Response
				if done, err = http.DefaultTransport.RoundTrip(again); err == nil {
					_ = done.Body.Close()
				}
			}
			if err != nil {
				t.Errorf("complete: %v", err)
			}
			panic(http.ErrAbortHandler)
		})
	})
	file := storetest.File(t, slowSize)
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	require.GreaterOrEqual(t, lost.Load(), int64(2), "the request was repeated")
	storetest.Holds(t, s, "x", file)
	require.Empty(t, leftovers(t, server))
}

func TestPut_ServerWithoutConditionalWrites(t *testing.T) {
	server := s3server.Start(t)
	var refused atomic.Int64
	s := through(t, server, func(r *http.Request) http.Handler {
		if r.Header.Get("If-None-Match") != "" {
			refused.Add(1)
			return faultproxy.S3Error(501, "NotImplemented")
		}
		return nil
	})
	for _, size := range []int64{10, slowSize} {
		file := storetest.File(t, size)
		name := strconv.FormatInt(size, 10)
		require.NoError(t, s.Put(t.Context(), name, file, nil))
		storetest.Holds(t, s, name, file)
		require.ErrorIs(t, s.Put(t.Context(), name, storetest.File(t, size), nil), store.ErrExists)
	}
	require.Positive(t, refused.Load())
}

// The name is taken by somebody else while the parts travel, on a server that ignores conditions.
func TestPut_NameTakenMeanwhile(t *testing.T) {
	server := s3server.Start(t)
	s := through(t, server, func(r *http.Request) http.Handler {
		r.Header.Del("If-None-Match")
		return nil
	})
	err := s.Put(t.Context(), "x", storetest.File(t, slowSize), func(n int64) {
		if n < slowSize {
			putRaw(t, server, prefix+"/x", []byte("faster"))
		}
	})
	require.ErrorIs(t, err, store.ErrExists)
	require.Empty(t, leftovers(t, server), "the useless upload is gone")
	objects, err := s.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []store.Object{{Name: "x", Size: 6}}, objects)
}

// An ETag that is no MD5, as with encryption by a managed key, proves nothing: the object is read again.
func TestPut_OpaqueETagReadsTheObjectAgain(t *testing.T) {
	server := s3server.Start(t)
	line := faultproxy.Start(t, server.Addr)
	var gets atomic.Int64
	var spoil atomic.Value
	spoil.Store("")
	addr := faultproxy.HTTP(t, line.Addr(), func(r *http.Request) http.Handler {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/x") {
			gets.Add(1)
		}
		if r.Method != http.MethodHead || !strings.HasSuffix(r.URL.Path, "/x") {
			return nil
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			head, err := server.Client().HeadObject(r.Context(), &awss3.HeadObjectInput{
				Bucket: aws.String(server.Bucket), Key: aws.String(prefix + "/x")})
			if err != nil {
				w.WriteHeader(404)
				return
			}
			if path := spoil.Load().(string); path != "" {
				storetest.Damage(t, path)
			}
			w.Header().Set("ETag", `"opaque-etag-of-a-managed-key"`)
			w.Header().Set("X-Amz-Meta-Sha256", head.Metadata["sha256"])
			w.Header().Set("Content-Length", strconv.FormatInt(*head.ContentLength, 10))
		})
	})
	s := open(t, config(server, addr, "node"))
	for _, size := range []int64{1000, slowSize} {
		file := storetest.File(t, size)
		gets.Store(0)
		require.NoError(t, s.Put(t.Context(), "x", file, nil))
		require.Equal(t, int64(1), gets.Load())
		require.NoError(t, s.Put(t.Context(), "x", file, nil), "again")
		require.Equal(t, int64(2), gets.Load())
		require.NoError(t, s.Delete(t.Context(), "x"))

		spoil.Store(server.Path(prefix + "/x"))
		require.ErrorIs(t, s.Put(t.Context(), "x", file, nil), store.ErrCorrupt, "the bytes at the server are not those sent")
		spoil.Store("")
		storetest.Absent(t, s, "x")
	}
}

// What a server did with the bytes shows in the ETag of the HEAD: here it stores others than it was sent.
func TestPut_ServerStoresOtherBytes(t *testing.T) {
	server := s3server.Start(t)
	var spoiled atomic.Bool
	s := through(t, server, func(r *http.Request) http.Handler {
		if r.Method == http.MethodHead && spoiled.CompareAndSwap(true, false) {
			client := server.Client()
			_, err := client.PutObject(r.Context(), &awss3.PutObjectInput{Bucket: aws.String(server.Bucket), Key: aws.String(prefix + "/x"),
				Body: strings.NewReader("123456789X"), Metadata: map[string]string{"sha256": storetest.Bytes(t, "1234567890").SHA256}})
			if err != nil {
				t.Error(err)
			}
		}
		if r.Method == http.MethodPut {
			spoiled.Store(true)
		}
		return nil
	})
	require.ErrorIs(t, s.Put(t.Context(), "x", storetest.Bytes(t, "1234567890"), nil), store.ErrCorrupt)
	storetest.Absent(t, s, "x")
}

func TestPut_ResumesOnlyPartsThatAgree(t *testing.T) {
	server := s3server.Start(t)
	line := faultproxy.Start(t, server.Addr)
	s := open(t, config(server, line.Addr(), "node"))
	file := storetest.File(t, slowSize)
	require.ErrorIs(t, storetest.Interrupt(t, s, "x", file), context.Canceled)
	client := server.Client()
	uploads, err := client.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: aws.String(server.Bucket)})
	require.NoError(t, err)
	require.Len(t, uploads.Uploads, 1)
	for number := range int32(2) { // parts of the right size and other content
		_, err = client.UploadPart(t.Context(), &awss3.UploadPartInput{Bucket: aws.String(server.Bucket), Key: uploads.Uploads[0].Key,
			UploadId: uploads.Uploads[0].UploadId, PartNumber: aws.Int32(number + 1), Body: strings.NewReader(strings.Repeat("x", partSize))})
		require.NoError(t, err)
	}
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	storetest.Holds(t, s, "x", file)
}

func TestPut_UploadAbortedBehindOurBack(t *testing.T) {
	server := s3server.Start(t)
	s := open(t, config(server, server.Addr, "node"))
	file := storetest.File(t, slowSize)
	require.Error(t, storetest.Interrupt(t, s, "x", file))
	uploads, err := server.Client().ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: aws.String(server.Bucket)})
	require.NoError(t, err)
	_, err = server.Client().AbortMultipartUpload(t.Context(), &awss3.AbortMultipartUploadInput{
		Bucket: aws.String(server.Bucket), Key: uploads.Uploads[0].Key, UploadId: uploads.Uploads[0].UploadId})
	require.NoError(t, err)
	require.NoError(t, s.Put(t.Context(), "x", file, nil), "a bucket rule that drops old uploads costs time, not the backup")
	storetest.Holds(t, s, "x", file)
}

func TestSweep_SparesUploadsOfOtherPrograms(t *testing.T) {
	server := s3server.Start(t)
	s := open(t, config(server, server.Addr, "node"))
	_, err := server.Client().CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{
		Bucket: aws.String(server.Bucket), Key: aws.String(prefix + "/foreign")})
	require.NoError(t, err)
	putRaw(t, server, prefix+"/"+store.PartialName("node", "0123456789ab", "odd"), []byte("not a record"))
	swept, err := s.Sweep(t.Context())
	require.NoError(t, err)
	require.Len(t, swept, 1)
	require.Len(t, leftovers(t, server), 1, "the foreign upload")
}

func TestRequests_CarryDigestsAndNoTrailers(t *testing.T) {
	server := s3server.Start(t)
	var mu sync.Mutex
	seen := map[string]int{}
	s := through(t, server, func(r *http.Request) http.Handler {
		mu.Lock()
		defer mu.Unlock()
		for header := range r.Header {
			if h := strings.ToLower(header); strings.Contains(h, "trailer") || strings.HasPrefix(h, "x-amz-checksum") || strings.HasPrefix(h, "x-amz-sdk-checksum") {
				t.Errorf("%s %s carries %s", r.Method, r.URL, header)
			}
		}
		if len(r.Header.Get("X-Amz-Content-Sha256")) != 64 {
			t.Errorf("%s %s: payload is not signed", r.Method, r.URL)
		}
		if r.Method == http.MethodPut && r.Header.Get("Content-Md5") == "" {
			t.Errorf("%s %s: no Content-MD5", r.Method, r.URL)
		}
		if isPart(r) {
			seen[strconv.FormatInt(r.ContentLength, 10)]++
		}
		return nil
	})
	require.NoError(t, s.Put(t.Context(), "small", storetest.Bytes(t, "x"), nil))
	require.NoError(t, s.Put(t.Context(), "large", storetest.File(t, slowSize), nil))
	require.Equal(t, map[string]int{strconv.Itoa(partSize): 3, "17": 1}, seen, "equal parts, the last smaller")
}

// XML cannot carry every key, so we ask for URL encoding; versitygw does not know it, R2 and AWS do.
func TestList_DecodesKeys(t *testing.T) {
	server := s3server.Start(t)
	s := through(t, server, func(r *http.Request) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("encoding-type") != "url" {
				t.Errorf("no encoding asked for in %s", r.URL)
			}
			_, _ = w.Write([]byte(`<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>` +
				`<Contents><Key>it%27s+a+prefix%2Fmainnet%2Fa%01+b%2Bc</Key><Size>7</Size></Contents></ListBucketResult>`))
		})
	})
	objects, err := s.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []store.Object{{Name: "a\x01 b+c", Size: 7}}, objects)
}
