// Package canton knows what a Canton Network validator is: which containers make it up, which databases they use, and what its
// databases say about themselves.
package canton

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"canton-backup/internal/backupset"
	"canton-backup/internal/docker"
	"canton-backup/internal/postgres"
	"canton-backup/internal/secret"
)

// Errors that callers branch on.
var (
	// ErrNoNode: no container of the postgres service was found, or it does not run.
	ErrNoNode = errors.New("node not found")
	// ErrAmbiguous: two things could be meant. The text lists them and names the setting that decides.
	ErrAmbiguous = errors.New("cannot tell which one is meant")
	// ErrNoDatabase: a database that should be there is not, or holds nothing.
	ErrNoDatabase = errors.New("database not usable")
)

// Compose services of a validator (domain 2.2).
const (
	serviceNginx       = "nginx"
	servicePostgres    = "postgres-splice"
	serviceParticipant = "participant"
	serviceValidator   = "validator"
)

// Query says which node to look for; empty fields are found out.
type Query struct {
	Project       string
	ValidatorDB   string
	ParticipantDB string
}

// Node is a validator as its containers describe it.
type Node struct {
	Postgres    docker.Container
	Participant *docker.Container // nil when compose took it away (stop.sh)
	Validator   *docker.Container
	Nginx       *docker.Container
	User        string
	Password    secret.String
}

// Find is Look for a node whose server must run.
func Find(ctx context.Context, engine *docker.Client, q Query) (Node, error) {
	n, err := Look(ctx, engine, q)
	if err != nil {
		return Node{}, err
	}
	if !n.Postgres.Running {
		return Node{}, fmt.Errorf("find node: %w: container %s does not run; see `docker logs %s`", ErrNoNode, n.Postgres.Name, n.Postgres.Name)
	}
	return n, nil
}

// Look looks for the node's containers, running or not, by their compose labels. Names are never guessed: hosts with two nodes exist.
func Look(ctx context.Context, engine *docker.Client, q Query) (Node, error) {
	servers, err := engine.Services(ctx, q.Project, servicePostgres)
	if err != nil {
		return Node{}, fmt.Errorf("find node: %w", err)
	}
	switch {
	case len(servers) == 0 && q.Project != "":
		return Node{}, fmt.Errorf("find node: %w: no container of service %s in compose project %q (COMPOSE_PROJECT); `docker compose ls` shows the projects", ErrNoNode, servicePostgres, q.Project)
	case len(servers) == 0:
		return Node{}, fmt.Errorf("find node: %w: no container of compose service %s; start the node with its start.sh", ErrNoNode, servicePostgres)
	case len(servers) > 1:
		return Node{}, fmt.Errorf("find node: %w: %s; set COMPOSE_PROJECT to one of these projects: %s", ErrAmbiguous,
			list(servers, func(c docker.Container) string { return c.Name }), list(servers, func(c docker.Container) string { return c.Project }))
	}
	n := Node{Postgres: servers[0]}
	for service, place := range map[string]**docker.Container{serviceParticipant: &n.Participant, serviceValidator: &n.Validator, serviceNginx: &n.Nginx} {
		found, err := engine.Services(ctx, n.Postgres.Project, service)
		if err != nil {
			return Node{}, fmt.Errorf("find node: %w", err)
		}
		switch len(found) {
		case 0:
		case 1:
			*place = &found[0]
		default:
			return Node{}, fmt.Errorf("find node: %w: service %s has %s", ErrAmbiguous, service, list(found, func(c docker.Container) string { return c.Name }))
		}
	}
	if n.Participant != nil {
		if server := n.Participant.Env["CANTON_PARTICIPANT_POSTGRES_SERVER"]; server != "" && server != servicePostgres {
			return Node{}, fmt.Errorf("find node: %w: the participant uses the PostgreSQL server %q, not the container %s", ErrNoNode, server, n.Postgres.Name)
		}
	}
	n.User, n.Password = n.credentials()
	return n, nil
}

// credentials are the participant's own when it is there, since they are known to work; else the ones that made the server.
func (n Node) credentials() (string, secret.String) {
	user, password := n.Postgres.Env["POSTGRES_USER"], n.Postgres.Env["POSTGRES_PASSWORD"]
	if user == "" {
		user = "postgres" // the image's default
	}
	if n.Participant != nil && n.Participant.Env["CANTON_PARTICIPANT_POSTGRES_USER"] == user {
		if own := n.Participant.Env["CANTON_PARTICIPANT_POSTGRES_PASSWORD"]; own != "" {
			password = own
		}
	}
	return user, secret.New(password)
}

// ParticipantDB is the database that the participant's container uses, empty when there is none to ask.
func (n Node) ParticipantDB() string {
	if n.Participant == nil {
		return ""
	}
	return n.Participant.Env["CANTON_PARTICIPANT_POSTGRES_DB"]
}

// Server returns the way to the node's PostgreSQL server. folder is where its pipe may lie.
func (n Node) Server(engine *docker.Client, owner, folder string) *postgres.Server {
	return &postgres.Server{Docker: engine, Node: owner, Container: n.Postgres.ID, Image: n.Postgres.ImageID, User: n.User, Password: n.Password, Folder: folder,
		Data: n.DataFolder()}
}

// DataFolder is where the server's volume lies on this host, empty when it has none.
func (n Node) DataFolder() string {
	for _, folder := range n.Postgres.Folders {
		return folder // a server has one volume
	}
	return ""
}

// Databases are the two databases of a node.
type Databases struct {
	Validator   string
	Participant string
	Bytes       map[string]int64 // pg_database_size
}

// Resolve decides which databases are meant. all are the server's own (pg_database) with their sizes. The participant's container
// knows best; without it exactly one database whose name begins with "participant" will do, and two never (domain R16).
func (n Node) Resolve(q Query, all map[string]int64) (Databases, error) {
	d := Databases{Validator: q.ValidatorDB, Participant: q.ParticipantDB, Bytes: all}
	source := "PARTICIPANT_DB"
	if d.Participant == "" && n.Participant != nil {
		d.Participant, source = n.ParticipantDB(), "container "+n.Participant.Name
	}
	if d.Participant == "" {
		var candidates []string
		for name := range all {
			if strings.HasPrefix(name, "participant") {
				candidates = append(candidates, name)
			}
		}
		slices.Sort(candidates)
		switch len(candidates) {
		case 0:
			return Databases{}, fmt.Errorf("find participant database: %w: no participant container to ask, and none of the databases %s begins with \"participant\"; set PARTICIPANT_DB", ErrNoDatabase, names(all))
		case 1:
			d.Participant, source = candidates[0], "pg_database"
		default:
			return Databases{}, fmt.Errorf("find participant database: %w: no participant container to ask, and these exist: %s; start the node or set PARTICIPANT_DB", ErrAmbiguous, quoted(candidates))
		}
	}
	if _, there := all[d.Participant]; !there {
		return Databases{}, fmt.Errorf("find participant database: %w: %s names %q, the server has %s", ErrNoDatabase, source, d.Participant, names(all))
	}
	if _, there := all[d.Validator]; !there {
		return Databases{}, fmt.Errorf("find validator database: %w: VALIDATOR_DB is %q, the server has %s", ErrNoDatabase, d.Validator, names(all))
	}
	if d.Validator == d.Participant {
		return Databases{}, fmt.Errorf("find databases: %w: %q is named for both halves", ErrAmbiguous, d.Validator)
	}
	return d, nil
}

// Facts is what a restore needs to know of the node (domain 2.6), from the containers, never from the settings. Only these
// environment variables are taken: others hold secrets.
func (n Node) Facts() backupset.NodeFacts {
	f := backupset.NodeFacts{
		Project: n.Postgres.Project, WorkingDir: n.Postgres.WorkingDir, ConfigFiles: n.Postgres.ConfigFiles,
		PostgresImage: n.Postgres.Image, PostgresImageID: n.Postgres.ImageID,
		Images: map[string]string{}, ImageIDs: map[string]string{}, Launch: map[string]string{},
	}
	for _, volume := range n.Postgres.Volumes {
		f.PostgresVolume = volume
	}
	for service, c := range map[string]*docker.Container{serviceParticipant: n.Participant, serviceValidator: n.Validator} {
		if c == nil {
			continue
		}
		f.Images[service], f.ImageIDs[service] = c.Image, c.ImageID
		f.WorkingDir, f.ConfigFiles = c.WorkingDir, c.ConfigFiles // postgres may have been started alone, these were not
	}
	if n.Validator != nil {
		for flag, variable := range map[string]string{
			"party_hint": "SPLICE_APP_VALIDATOR_PARTY_HINT", "participant_identifier": "SPLICE_APP_VALIDATOR_PARTICIPANT_IDENTIFIER",
			"scan_address": "SPLICE_APP_VALIDATOR_SCAN_ADDRESS", "sponsor_sv_address": "SPLICE_APP_VALIDATOR_SV_SPONSOR_ADDRESS",
			"migration_id": "SPLICE_APP_VALIDATOR_MIGRATION_ID", "sequencer_address": "SPLICE_APP_VALIDATOR_SEQUENCER_ADDRESS",
		} {
			if value := n.Validator.Env[variable]; value != "" {
				f.Launch[flag] = value
			}
		}
		if strings.Contains(f.ConfigFiles, "compose-onvpn-network.yaml") && len(n.Validator.Networks) == 1 {
			f.Launch["docker_network"] = n.Validator.Networks[0]
		}
	}
	if n.Nginx != nil && slices.Contains(n.Nginx.BoundTo, "0.0.0.0") {
		f.Launch["bind_all"] = "true"
	}
	return f
}

func list(containers []docker.Container, text func(docker.Container) string) string {
	texts := make([]string, len(containers))
	for i, c := range containers {
		texts[i] = text(c)
	}
	return strings.Join(texts, ", ")
}

func names(all map[string]int64) string {
	var sorted []string
	for name := range all {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	return quoted(sorted)
}

func quoted(texts []string) string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = fmt.Sprintf("%q", t)
	}
	return strings.Join(out, ", ")
}
