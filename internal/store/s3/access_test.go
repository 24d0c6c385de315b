package s3_test

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/secret"
	"canton-backup/internal/store"
	"canton-backup/internal/store/s3"
	"canton-backup/internal/store/storetest"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/internal/testkit/s3server"
)

func TestErrors_WrongRegion(t *testing.T) {
	s3server.Each(t, func(t *testing.T, start func(testing.TB) *s3server.Server) {
		server := start(t)
		cfg := config(server, server.Addr, "node")
		cfg.Region = "eu-nowhere-7"
		err := open(t, cfg).Check(t.Context())
		require.ErrorIs(t, err, store.ErrRegion)
		require.ErrorContains(t, err, "S3_REGION")
	})
}

// AWS answers with a redirection, and names the bucket's region in a header.
func TestErrors_BucketOfAnotherRegion(t *testing.T) {
	server := s3server.Start(t)
	s := through(t, server, func(*http.Request) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", "eu-west-9")
			faultproxy.S3Error(301, "PermanentRedirect").ServeHTTP(w, r)
		})
	})
	require.ErrorIs(t, s.Check(t.Context()), store.ErrRegion)
	err := s.Put(t.Context(), "x", storetest.Bytes(t, "x"), nil)
	require.ErrorIs(t, err, store.ErrRegion, "an answer to HEAD has no body")
	require.ErrorContains(t, err, "eu-west-9")
}

func TestErrors_SelfSignedCertificate(t *testing.T) {
	server := s3server.Start(t)
	to, err := url.Parse("http://" + server.Addr)
	require.NoError(t, err)
	var tries int
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
	}})
	front.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { tries++; return nil, nil }}
	front.StartTLS()
	t.Cleanup(front.Close)
	cfg := config(server, server.Addr, "node")
	cfg.Endpoint = front.URL
	err = open(t, cfg).Check(t.Context())
	require.ErrorIs(t, err, store.ErrCertificate)
	require.ErrorContains(t, err, "S3_CA_FILE")
	require.Equal(t, 1, tries, "no repetition cures it")

	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	_, err = s3.New(cfg)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(cfg.CAFile, []byte("not PEM"), 0o600))
	_, err = s3.New(cfg)
	require.ErrorContains(t, err, "BEGIN CERTIFICATE")
	require.NoError(t, os.WriteFile(cfg.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
	s := open(t, cfg)
	require.NoError(t, s.Check(t.Context()))
	file := storetest.File(t, slowSize)
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	storetest.Holds(t, s, "x", file)

	cfg.Endpoint = strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
	require.ErrorIs(t, open(t, cfg).Check(t.Context()), store.ErrCertificate, "the certificate is another host's")
}

// A host whose clock is wrong: the proxy signs again with another time, so that the real server refuses. The SDK would go by the
// server's clock; Check says that this host's is off.
func TestErrors_ClockSkew(t *testing.T) {
	s3server.Each(t, func(t *testing.T, start func(testing.TB) *s3server.Server) {
		server := start(t)
		keys := aws.Credentials{AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey.Reveal()}
		late := through(t, server, func(r *http.Request) http.Handler {
			for name := range r.Header {
				if name != "X-Amz-Content-Sha256" && name != "Content-Md5" && name != "If-None-Match" {
					r.Header.Del(name)
				}
			}
			r.URL.Host, r.URL.Scheme = r.Host, "http"
			err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(r.Context(), keys, r,
				r.Header.Get("X-Amz-Content-Sha256"), "s3", server.Region, time.Now().Add(-20*time.Minute))
			if err != nil {
				t.Error(err)
			}
			return nil
		})
		err := late.Check(t.Context())
		require.ErrorIs(t, err, store.ErrClock)
		require.ErrorContains(t, err, "timedatectl")
		require.ErrorIs(t, late.Put(t.Context(), "x", storetest.Bytes(t, "x"), nil), store.ErrDenied)
	})
}

func TestCheck_ClockThatIsOff(t *testing.T) {
	server := s3server.Start(t)
	for skew, want := range map[time.Duration]error{20 * time.Minute: store.ErrClock, -20 * time.Minute: store.ErrClock, time.Minute: nil} {
		s := through(t, server, func(r *http.Request) http.Handler {
			if !r.URL.Query().Has("list-type") {
				return nil
			}
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
				_, _ = w.Write([]byte(`<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`))
			})
		})
		require.ErrorIs(t, s.Check(t.Context()), want)
	}
}

func TestErrors_ReadOnlyKey(t *testing.T) {
	server := s3server.Start(t)
	s := through(t, server, func(r *http.Request) http.Handler {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return faultproxy.S3Error(403, "AccessDenied")
		}
		return nil
	})
	err := s.Check(t.Context())
	require.ErrorIs(t, err, store.ErrDenied)
	require.NotErrorIs(t, err, store.ErrNoDelete)
	require.ErrorContains(t, err, "let this key do PutObject")
	require.ErrorContains(t, s.Put(t.Context(), "x", storetest.Bytes(t, "x"), nil), "let this key do PutObject")
}

func TestPut_ServerWithFewParts(t *testing.T) {
	server := s3server.Start(t)
	line := faultproxy.Start(t, server.Addr)
	cfg := config(server, faultproxy.HTTP(t, line.Addr(), func(r *http.Request) http.Handler {
		if n, err := strconv.Atoi(r.URL.Query().Get("partNumber")); err == nil && n > 2 {
			return faultproxy.S3Error(400, "InvalidArgument")
		}
		return nil
	}), "node")
	file := storetest.File(t, slowSize)
	require.ErrorIs(t, open(t, cfg).Put(t.Context(), "x", file, nil), store.ErrRefused)
	cfg.MaxParts = 2
	require.NoError(t, open(t, cfg).Put(t.Context(), "x", file, nil))
	storetest.Holds(t, open(t, cfg), "x", file)

	huge := filepath.Join(t.TempDir(), "huge")
	require.NoError(t, os.WriteFile(huge, nil, 0o600))
	require.NoError(t, os.Truncate(huge, 11<<30)) // a hole: no disk is used
	before := line.Sent()
	err := open(t, cfg).Put(t.Context(), "huge", store.File{Path: huge, Size: 11 << 30, SHA256: file.SHA256}, nil)
	require.ErrorIs(t, err, store.ErrTooLarge)
	require.ErrorContains(t, err, "S3_MAX_PARTS")
	require.Less(t, line.Sent()-before, int64(20_000), "refused before a byte of it was sent")
}

func TestKeys_OfTheEnvironment(t *testing.T) {
	server := s3server.Start(t)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(name, "")
	}
	cfg := config(server, server.Addr, "node")
	cfg.AccessKey, cfg.SecretKey = "", secret.String{}
	err := open(t, cfg).Check(t.Context())
	require.ErrorIs(t, err, store.ErrDenied)
	require.ErrorContains(t, err, "S3_ACCESS_KEY")

	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey.Reveal())
	require.NoError(t, open(t, cfg).Check(t.Context()))
	cfg.Kind = "r2"
	_, err = s3.New(cfg)
	require.ErrorContains(t, err, "access key is empty")
}

func TestPut_CarriesClassEncryptionAndLock(t *testing.T) {
	server := s3server.StartMinIO(t)
	server = server.Locking(t)
	var mu sync.Mutex
	begun := 0
	cfg := config(server, faultproxy.HTTP(t, server.Addr, func(r *http.Request) http.Handler {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPost && r.URL.Query().Has("uploads") || r.Method == http.MethodPut && !isPart(r) && !strings.Contains(r.URL.Path, "/.canton-backup.") {
			begun++
			if r.Header.Get("X-Amz-Storage-Class") != "REDUCED_REDUNDANCY" {
				t.Errorf("%s %s is for class %q", r.Method, r.URL, r.Header.Get("X-Amz-Storage-Class"))
			}
		}
		return nil
	}), "node")
	cfg.StorageClass, cfg.SSE, cfg.LockFor = "REDUCED_REDUNDANCY", "AES256", 24*time.Hour
	s := open(t, cfg)
	require.NoError(t, s.Check(t.Context()))
	client := server.Client()
	for _, size := range []int64{1000, slowSize} {
		name := strconv.FormatInt(size, 10)
		file := storetest.File(t, size)
		require.NoError(t, s.Put(t.Context(), name, file, nil))
		storetest.Holds(t, s, name, file)
		head, err := client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(server.Bucket), Key: aws.String(prefix + "/" + name)})
		require.NoError(t, err)
		require.EqualValues(t, "AES256", head.ServerSideEncryption)
		require.EqualValues(t, "GOVERNANCE", head.ObjectLockMode)
		require.Greater(t, time.Until(*head.ObjectLockRetainUntilDate), 23*time.Hour)
		_, err = client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: aws.String(server.Bucket), Key: aws.String(prefix + "/" + name), VersionId: head.VersionId})
		require.Error(t, err, "the stored version is locked")
		require.NoError(t, s.Delete(t.Context(), name), "a prune hides it")
		storetest.Absent(t, s, name)
	}
	require.Equal(t, 2, begun)
	require.Empty(t, leftovers(t, server))
}
