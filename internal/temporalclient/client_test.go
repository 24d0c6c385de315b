package temporalclient

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// settings is an environment.
type settings map[string]string

func (s settings) LookupEnv(name string) (string, bool) {
	value, ok := s[name]
	return value, ok
}

func (s settings) Environ() []string {
	var all []string
	for name, value := range s {
		all = append(all, name+"="+value)
	}
	return all
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "temporal.toml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestConfigured(t *testing.T) {
	require.False(t, Configured(settings{}))
	require.False(t, Configured(settings{"TEMPORAL_ADDRESS": "", "TEMPORAL_NAMESPACE": "x"}))
	for _, name := range []string{"TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE", "TEMPORAL_API_KEY"} {
		require.True(t, Configured(settings{name: "x"}), name)
	}
	t.Setenv("TEMPORAL_ADDRESS", "cluster:7233")
	require.True(t, Configured(nil))
}

func TestTarget_Address(t *testing.T) {
	file := writeConfig(t, `
[profile.default]
address = "default.example:7233"
[profile.fleet]
address = "fleet.example:7233"
namespace = "backups"
`)
	for name, c := range map[string]struct {
		env                settings
		address, namespace string
	}{
		"embedded":               {settings{}, "127.0.0.1:1", "ours"},
		"address":                {settings{"TEMPORAL_ADDRESS": "a:1"}, "a:1", "ours"},
		"address and namespace":  {settings{"TEMPORAL_ADDRESS": "a:1", "TEMPORAL_NAMESPACE": "n"}, "a:1", "n"},
		"file":                   {settings{"TEMPORAL_CONFIG_FILE": file}, "default.example:7233", "ours"},
		"profile":                {settings{"TEMPORAL_CONFIG_FILE": file, "TEMPORAL_PROFILE": "fleet"}, "fleet.example:7233", "backups"},
		"environment over file":  {settings{"TEMPORAL_CONFIG_FILE": file, "TEMPORAL_ADDRESS": "a:1"}, "a:1", "ours"},
		"namespace alone is not": {settings{"TEMPORAL_NAMESPACE": "n"}, "127.0.0.1:1", "ours"},
	} {
		t.Run(name, func(t *testing.T) {
			target := Target{EmbeddedAddress: "127.0.0.1:1", Namespace: "ours", Env: c.env}
			o, err := target.options()
			require.NoError(t, err)
			require.Equal(t, c.address, o.HostPort)
			require.Equal(t, c.namespace, o.Namespace)
			_, plain := o.ConnectionOptions.GrpcCompression.(*client.GrpcCompressionNone)
			require.Equal(t, c.address == "127.0.0.1:1", plain, "only what stays on this host is not compressed")
		})
	}
	t.Run("default file is left alone", func(t *testing.T) {
		home := t.TempDir()
		t.Setenv("XDG_CONFIG_HOME", home)
		require.NoError(t, os.Mkdir(filepath.Join(home, "temporalio"), 0o700))
		text := []byte("[profile.default]\naddress = \"elsewhere:7233\"\n")
		require.NoError(t, os.WriteFile(filepath.Join(home, "temporalio", "temporal.toml"), text, 0o600))
		address, err := Target{EmbeddedAddress: "127.0.0.1:1", Env: settings{}}.Address()
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1:1", address)
	})
	t.Run("key turns tls on", func(t *testing.T) {
		o, err := Target{Env: settings{"TEMPORAL_ADDRESS": "a:1", "TEMPORAL_API_KEY": "k"}}.options()
		require.NoError(t, err)
		require.NotNil(t, o.ConnectionOptions.TLS)
		require.NotNil(t, o.Credentials)
	})
}

func TestTarget_Address_errors(t *testing.T) {
	const key = "tmprl-very-secret"
	unquoted := writeConfig(t, "[profile.default]\naddress = \"a:1\"\napi_key = "+key+"\n")
	for name, c := range map[string]struct {
		env  settings
		want string
	}{
		"key without address": {settings{"TEMPORAL_API_KEY": key}, "TEMPORAL_ADDRESS"},
		"broken file":         {settings{"TEMPORAL_CONFIG_FILE": unquoted}, "not valid TOML"},
		"missing profile":     {settings{"TEMPORAL_CONFIG_FILE": writeConfig(t, ""), "TEMPORAL_PROFILE": "fleet"}, `profile "fleet"`},
		"folder for a file":   {settings{"TEMPORAL_CONFIG_FILE": t.TempDir()}, "is a directory"},
		"missing certificate": {settings{"TEMPORAL_ADDRESS": "a:1", "TEMPORAL_TLS_SERVER_CA_CERT_PATH": "/nowhere.pem"}, "/nowhere.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Target{EmbeddedAddress: "127.0.0.1:1", Env: c.env}.Address()
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), key)
		})
	}
}

// refusing runs a gRPC server that answers every call with code and counts the calls.
func refusing(t *testing.T, code codes.Code) (address string, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		calls.Add(1)
		return status.Error(code, "no")
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return l.Addr().String(), calls
}

func TestDial_refused(t *testing.T) {
	for _, code := range []codes.Code{codes.Unauthenticated, codes.PermissionDenied} {
		t.Run(code.String(), func(t *testing.T) {
			address, calls := refusing(t, code)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := Dial(ctx, Target{Env: settings{"TEMPORAL_ADDRESS": address}})
			require.ErrorContains(t, err, address)
			require.NoError(t, ctx.Err(), "gave up at once")
			require.EqualValues(t, 1, calls.Load())
		})
	}
}

func TestDial_endsWithContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close()) // nothing answers there now
	var log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = Dial(ctx, Target{EmbeddedAddress: address, Env: settings{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, address)
	require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("does not answer")))
}

func TestCompare(t *testing.T) {
	missing, wrong := compare(map[string]enumspb.IndexedValueType{
		"CantonNode":  enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		"BackupBytes": enumspb.INDEXED_VALUE_TYPE_TEXT,
		"Foreign":     enumspb.INDEXED_VALUE_TYPE_BOOL,
	})
	require.Equal(t, []string{"BackupOutcome", "BackupSet", "CantonNetwork"}, names(missing))
	require.Equal(t, []string{"BackupBytes"}, names(wrong))
}
