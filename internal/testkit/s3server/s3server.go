// Package s3server runs real S3 servers for tests: versitygw over a folder, and MinIO with its own format on disk.
package s3server

import (
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/secret"
	"canton-backup/internal/store/storetest"
	"canton-backup/internal/testkit/child"
)

// Server is a running S3 server with one empty bucket.
type Server struct {
	Program   string // "versitygw" or "minio"
	Addr      string // host:port, plain HTTP
	Region    string // the only one it takes
	Bucket    string
	AccessKey string
	SecretKey secret.String
	folder    string
}

// Start runs a versitygw of its own for the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := newServer(t, "versitygw", "auto")
	s.run(t, []string{"--port", s.Addr, "--region", s.Region, "posix", s.folder},
		"ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey.Reveal())
	s.makeBucket(t, &s3.CreateBucketInput{})
	return s
}

// StartMinIO runs a MinIO of its own for the test. It encrypts objects that are to be (SSE).
func StartMinIO(t testing.TB) *Server {
	t.Helper()
	s := newServer(t, "minio", "eu-test-1")
	s.run(t, []string{"server", "--quiet", "--address", s.Addr, s.folder},
		"MINIO_ROOT_USER="+s.AccessKey, "MINIO_ROOT_PASSWORD="+s.SecretKey.Reveal(), "MINIO_REGION="+s.Region, "MINIO_BROWSER=off", "MINIO_UPDATE=off",
		"MINIO_KMS_SECRET_KEY=test:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	client := s.Client()
	require.Eventually(t, func() bool { // it listens before it serves
		_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(s.Bucket)})
		return err == nil
	}, 30*time.Second, 50*time.Millisecond, "MinIO does not serve")
	return s
}

// Each runs the test on every server.
func Each(t *testing.T, test func(t *testing.T, start func(t testing.TB) *Server)) {
	t.Run("versitygw", func(t *testing.T) { test(t, Start) })
	t.Run("minio", func(t *testing.T) { test(t, StartMinIO) })
}

func newServer(t testing.TB, program, region string) *Server {
	return &Server{
		Program: program, Region: region, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(child.FreePort(t))), Bucket: "backups", AccessKey: "test-key-id",
		SecretKey: secret.New("test-secret-4711"), folder: t.TempDir(),
	}
}

func (s *Server) run(t testing.TB, args []string, env ...string) {
	t.Helper()
	cmd := exec.Command(child.Find(t, s.Program, "make tools"), args...)
	cmd.Env = append(append(os.Environ(), "HOME="+t.TempDir()), env...)
	child.Start(t, cmd)
	_, port, err := net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	child.WaitPort(t, number)
}

// Fresh is the same server with another bucket, an empty one.
func (s *Server) Fresh(t testing.TB) *Server {
	t.Helper()
	other := *s
	other.Bucket = "backups-" + strings.ToLower(rand.Text()[:12])
	other.makeBucket(t, &s3.CreateBucketInput{})
	return &other
}

// Locking is the same server with another bucket, an empty one that knows object lock.
func (s *Server) Locking(t testing.TB) *Server {
	t.Helper()
	other := *s
	other.Bucket = "locking-" + strings.ToLower(rand.Text()[:12])
	other.makeBucket(t, &s3.CreateBucketInput{ObjectLockEnabledForBucket: aws.Bool(true)})
	return &other
}

func (s *Server) makeBucket(t testing.TB, input *s3.CreateBucketInput) {
	t.Helper()
	input.Bucket = aws.String(s.Bucket)
	_, err := s.Client().CreateBucket(t.Context(), input)
	require.NoError(t, err)
}

// Client is a plain SDK client for looking behind the store's back.
func (s *Server) Client() *s3.Client {
	return s3.New(s3.Options{
		Region: s.Region, BaseEndpoint: aws.String("http://" + s.Addr), UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey.Reveal(), ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
}

// Path is the file in which versitygw keeps the object's bytes.
func (s *Server) Path(key string) string {
	return filepath.Join(s.folder, s.Bucket, filepath.FromSlash(key))
}

// Damage alters one byte of an object of a megabyte or more where it rests.
func (s *Server) Damage(t testing.TB, key string) {
	t.Helper()
	path := s.Path(key)
	if s.Program == "minio" { // a folder, with a file of digests and data for each part
		parts, err := filepath.Glob(filepath.Join(globQuoted(path), "*", "part.1"))
		require.NoError(t, err)
		require.Len(t, parts, 1)
		path = parts[0]
	}
	storetest.Damage(t, path)
}

// globQuoted is the pattern that matches the path alone.
func globQuoted(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
