package temporalcluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// compose is what the cluster takes from docker-compose.temporal.yml.
type compose struct {
	env           map[string]string // of the server
	schemaScript  string
	dynamicConfig string
}

// defaulted is a ${NAME:-value} of Compose.
var defaulted = regexp.MustCompile(`\$\{\w+:-([^}]*)\}`)

func readCompose(path string) (compose, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return compose{}, fmt.Errorf("read compose file: %w", err)
	}
	var file struct {
		Services map[string]struct {
			Environment map[string]string
		}
		Configs map[string]struct {
			Content string
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return compose{}, fmt.Errorf("parse %s: %w", path, err)
	}
	c := compose{
		env:           map[string]string{},
		schemaScript:  interpolate(file.Configs["schema"].Content),
		dynamicConfig: interpolate(file.Configs["dynamicconfig"].Content),
	}
	for name, value := range file.Services["temporal"].Environment {
		c.env[name] = interpolate(value)
	}
	if c.schemaScript == "" || c.dynamicConfig == "" || len(c.env) == 0 {
		return compose{}, fmt.Errorf("parse %s: schema, dynamicconfig or the server's environment is missing", path)
	}
	return c, nil
}

// interpolate does what Compose does to a value when no variable is set.
func interpolate(s string) string {
	return strings.ReplaceAll(defaulted.ReplaceAllString(s, "$1"), "$$", "$")
}

// settings is the server's environment with the database where it is here.
func (c compose) settings(postgresPort int) []string {
	var env []string
	for name, value := range c.env {
		switch name {
		case "POSTGRES_SEEDS":
			value = loopback
		case "DB_PORT":
			value = strconv.Itoa(postgresPort)
		}
		env = append(env, name+"="+value)
	}
	return env
}

func runScript(ctx context.Context, script string, env []string) error {
	cmd := exec.CommandContext(ctx, "sh")
	cmd.Stdin = strings.NewReader(script)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run schema script: %w: %s", err, tail(out))
	}
	return nil
}
