package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// composed is what the tests look at of docker-compose.temporal.yml, as Compose understands it.
type composed struct {
	Services map[string]struct {
		Image     string
		Restart   string
		Ports     []struct{ HostIP, Published string }
		Volumes   []struct{ Type, Source, Target string }
		DependsOn map[string]struct{ Condition string } `json:"depends_on"`
		Configs   []struct{ Source string }
	}
	Volumes map[string]any
	Configs map[string]struct{ Content string }
}

func compose(t *testing.T, env ...string) composed {
	t.Helper()
	file, err := os.Open("../docker-compose.temporal.yml") // by us, so that Go's test cache knows of it
	require.NoError(t, err)
	defer file.Close()
	cmd := exec.CommandContext(t.Context(), "docker", "compose", "--file", "-", "config", "--format", "json")
	cmd.Stdin = file
	cmd.Env = append(os.Environ(), env...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	require.NoError(t, err, complaint.String())
	require.Empty(t, complaint.String(), "no warnings")
	var c composed
	require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(string(out), `"host_ip"`, `"HostIP"`)), &c))
	return c
}

// What Compose makes of the file: everything listens on the loopback interface, the histories have a volume with a name, and each
// service waits for the one that it needs. (That schema script, settings and server work together is proven in testbed/temporalcluster.)
func TestCompose(t *testing.T) {
	c := compose(t)
	require.Len(t, c.Services, 5)
	published := map[string]bool{}
	for name, s := range c.Services {
		require.Regexp(t, `:\d+\.\d+(\.\d+)?$`, s.Image, "%s: a version, so that a new one does not come by itself", name)
		for _, p := range s.Ports {
			require.Equal(t, "127.0.0.1", p.HostIP, name)
			published[p.Published] = true
		}
		for _, v := range s.Volumes {
			require.Equal(t, "volume", v.Type, name)
			require.Contains(t, c.Volumes, v.Source, "%s: it has a name", name)
		}
	}
	require.Equal(t, map[string]bool{"7233": true, "8233": true}, published, "the database is in there only")
	require.Equal(t, "/var/lib/postgresql/data", c.Services["postgres"].Volumes[0].Target)
	for name, needs := range map[string][2]string{
		"schema": {"postgres", "service_healthy"}, "temporal": {"schema", "service_completed_successfully"},
		"namespace": {"temporal", "service_healthy"}, "ui": {"temporal", "service_healthy"},
	} {
		require.Equal(t, needs[1], c.Services[name].DependsOn[needs[0]].Condition, name)
	}
	require.Equal(t, c.Services["schema"].Image, c.Services["namespace"].Image)
	require.Equal(t, strings.TrimPrefix(c.Services["schema"].Image, "temporalio/admin-tools:"), strings.TrimPrefix(c.Services["temporal"].Image, "temporalio/server:"), "one version")
	for _, name := range []string{"postgres", "temporal", "ui"} {
		require.Equal(t, "unless-stopped", c.Services[name].Restart, name)
	}
	require.Regexp(t, regexp.MustCompile(`create -n default --retention 720h`), c.Configs["namespace"].Content)

	for _, p := range compose(t, "TEMPORAL_BIND=10.0.0.5").Services["temporal"].Ports {
		require.Equal(t, "10.0.0.5", p.HostIP, "who wants to can open it")
	}
}
