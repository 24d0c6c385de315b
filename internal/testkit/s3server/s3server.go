// Package s3server runs a real S3 server (versitygw over a folder) for tests.
package s3server

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/secret"
	"canton-backup/internal/testkit/child"
)

// Server is a running S3 server with one empty bucket.
type Server struct {
	Addr      string // host:port, plain HTTP
	Bucket    string
	AccessKey string
	SecretKey secret.String
	Folder    string // each object is a file below <Folder>/<Bucket>
}

// Start runs a server of its own for the test.
func Start(t testing.TB) *Server {
	t.Helper()
	program := child.Find(t, "versitygw", "GOBIN=$PWD/.tools/bin go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	port := child.FreePort(t)
	s := &Server{
		Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Bucket: "backups", AccessKey: "test-key-id",
		SecretKey: secret.New("test-secret-4711"), Folder: t.TempDir(),
	}
	cmd := exec.Command(program, "--port", s.Addr, "--region", "auto", "posix", s.Folder)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey.Reveal())
	child.Start(t, cmd)
	child.WaitPort(t, port)
	_, err := s.Client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(s.Bucket)})
	require.NoError(t, err)
	return s
}

// Client is a plain SDK client for looking behind the store's back.
func (s *Server) Client() *s3.Client {
	return s3.New(s3.Options{
		Region: "auto", BaseEndpoint: aws.String("http://" + s.Addr), UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey.Reveal(), ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
}

// Path is the file that holds the object's bytes.
func (s *Server) Path(key string) string {
	return filepath.Join(s.Folder, s.Bucket, filepath.FromSlash(key))
}
