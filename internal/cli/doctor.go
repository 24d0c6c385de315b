package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"canton-backup/activities"
	"canton-backup/internal/app"
	"canton-backup/internal/backupset"
	"canton-backup/internal/canton"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/docker"
	"canton-backup/internal/encryption"
	"canton-backup/internal/store"
)

// finding is one line of `doctor`; with --json this is the contract.
type finding struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"` // OK, WARNING, FAILED
	Detail  string `json:"detail,omitempty"`
	Next    string `json:"next,omitempty"`
}

const (
	ok      = "OK"
	warning = "WARNING"
	failed  = "FAILED"
)

func newDoctor(c *command) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check settings, node, databases, disk, targets and worker", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lines := &printer{w: c.Out} // as they come: what is wrong may be that something does not answer
			d := &doctor{found: func(f finding) {
				if c.json {
					return
				}
				lines.linef("%s: %s%s", f.Name, f.Verdict, dash(f.Detail))
				if f.Next != "" {
					lines.linef("  Try: %s", f.Next)
				}
			}}
			d.examine(cmd.Context(), c.file)
			err := c.print(d.findings, func(io.Writer) error { return lines.err })
			if d.failed {
				return errors.Join(&exitError{ExitFailed, errors.New("something needs mending")}, err)
			}
			return err
		},
	}
}

func dash(detail string) string {
	if detail == "" {
		return ""
	}
	return " — " + detail
}

// doctor looks at everything a backup needs, changes nothing, and does not stop at the first defect.
type doctor struct {
	found    func(finding)
	findings []finding
	failed   bool
}

func (d *doctor) add(name, verdict, detail, next string) {
	f := finding{name, verdict, detail, next}
	d.findings = append(d.findings, f)
	d.found(f)
	d.failed = d.failed || verdict == failed
}

// check records an error as a failure, nil as OK with the detail.
func (d *doctor) check(name string, err error, detail string) bool {
	if err != nil {
		d.add(name, failed, err.Error(), activities.NextStep(activities.ErrorName(err)))
		return false
	}
	d.add(name, ok, detail, "")
	return true
}

func (d *doctor) examine(ctx context.Context, file string) {
	s, err := config.Load(file)
	if d.check("settings", err, file) {
		for _, w := range s.Warnings {
			d.add("settings", warning, w, "")
		}
		d.habits(s)
		d.privateKey(ctx, s)
		d.stores(ctx, s)
	}
	d.node(ctx, s)
	d.worker(ctx, s)
}

// habits warns of settings that are allowed and dangerous.
func (d *doctor) habits(s config.Settings) {
	if len(s.Targets) == 0 {
		d.add("targets", warning, "BACKUP_TYPE=skip keeps every set on this host: a lost disk loses node and backups", "set BACKUP_TYPE to rsync, r2, s3 or dir")
	}
	d.encryption(s)
	var names []string
	for _, channel := range app.Channels(s) {
		names = append(names, channel.Name)
	}
	if len(names) == 0 {
		d.add("alerts", warning, "no alert channel: nobody hears of a failed backup", "set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or another of docs/how-to/alerts.md")
	} else {
		d.add("alerts", ok, strings.Join(names, ", ")+"; try them: canton-backup notify test", "")
	}
	if s.Alerts.Ping.Empty() {
		d.add("alerts", warning, "no PING_URL: nobody hears of it when this host is off", "set PING_URL to a dead-man's switch, see docs/how-to/alerts.md")
	}
}

func (d *doctor) encryption(s config.Settings) {
	to, err := activities.Recipients(s, time.Now())
	switch {
	case err == nil && to != nil:
		err = to.Try()
	case err == nil && len(s.Targets) > 0:
		d.add("encryption", warning, "sets leave this host in plain text, the node's private keys in them", "set ENCRYPTION=age, see docs/how-to/encryption.md")
		return
	case err == nil:
		d.add("encryption", warning, "sets lie here in plain text", "set ENCRYPTION=age, see docs/how-to/encryption.md")
		return
	}
	if err != nil {
		d.check("encryption", err, "")
		return
	}
	for _, k := range to.Keys {
		until := "never expires"
		if !k.Expires.IsZero() {
			until = fmt.Sprintf("expires in %d days", int(time.Until(k.Expires).Hours()/24))
		}
		d.add("encryption", ok, fmt.Sprintf("%s, to %s, %s", to.Method, k.Fingerprint, until), "")
	}
	for _, notice := range activities.ExpiryNotices(to, time.Now()) {
		d.add("encryption", warning, notice, "extend the key, export it anew")
	}
	if s.Encryption.Key == "" && s.Drill > 0 {
		d.add("drills", warning, "no private key is here, so no scheduled drill can open a set", "lend one before a drill (canton-backup unlock), set DECRYPTION_KEY, or DRILL_EVERY=off and drill by hand")
	}
}

// privateKey proves that the key of the settings opens the newest set on this host.
func (d *doctor) privateKey(ctx context.Context, s config.Settings) {
	if s.Encryption.Key == "" {
		return
	}
	key, err := encryption.ReadKey(s.Encryption.Key, nil)
	if err != nil {
		d.check("private key", err, "")
		return
	}
	local, err := app.LocalStore(s)
	if err != nil {
		return // the line of the disk says so
	}
	listing, err := catalog.List(ctx, local, catalog.Owner{Node: s.Node.Name, Network: s.Node.Network})
	if err != nil {
		return
	}
	newest, err := listing.Find(catalog.Latest, time.Now())
	if err != nil || newest.Damage != "" {
		d.add("private key", ok, s.Encryption.Key+", there is no set yet to try it on", "")
		return
	}
	for _, c := range newest.Manifest.Dumps() {
		if c.Encryption != backupset.Unencrypted && !d.check("private key", activities.Opens(ctx, local, c, key), s.Encryption.Key+" opens "+c.File) {
			return
		}
	}
}

func (d *doctor) stores(ctx context.Context, s config.Settings) {
	var free int64
	local, err := app.LocalStore(s)
	if err == nil {
		free, err = activities.CheckSpace(ctx, local, activities.LastSize(ctx, s, local, time.Now()))
	}
	d.check("disk", err, fmt.Sprintf("%s free at %s", humanize.IBytes(uint64(free)), s.BackupDir))
	for _, kind := range s.Targets {
		target, err := app.RemoteStore(s, kind)
		if err != nil {
			d.check("target "+string(kind), err, "")
			continue
		}
		err = target.Check(ctx)
		if errors.Is(err, store.ErrNoDelete) {
			d.add("target "+string(kind), warning, err.Error(), "")
			continue
		}
		d.check("target "+string(kind), err, target.Location())
	}
}

func (d *doctor) node(ctx context.Context, s config.Settings) {
	engine, err := docker.Connect()
	var version string
	if err == nil {
		defer engine.Close()
		version, err = engine.Ping(ctx)
	}
	if !d.check("docker", err, "engine "+version) {
		return
	}
	query := activities.NodeQuery(s)
	node, err := canton.Find(ctx, engine, query)
	if !d.check("node", err, "compose project "+node.Postgres.Project) {
		return
	}
	for service, c := range map[string]*docker.Container{"participant": node.Participant, "validator": node.Validator} {
		if c == nil || !c.Running {
			d.add("node", warning, "the "+service+" container does not run", "start the node with its start.sh")
		}
	}
	d.drift(s, node)
	d.databases(ctx, s, engine, node, query)
}

// drift compares how the node runs with what the toolkit wrote down. A restore starts it as it runs.
func (d *doctor) drift(s config.Settings, node canton.Node) {
	if node.Participant == nil || node.Validator == nil {
		return
	}
	runs := canton.LaunchOf(node.Facts(), node.ParticipantDB(), canton.Fallback{})
	for _, lost := range runs.Lost {
		d.add("launch", warning, "a restore cannot read back "+lost, "write down how the node is started; see canton-backup restore --help, --start-arg")
	}
	for _, item := range []struct{ key, written, real string }{
		{"VERSION", s.Toolkit.Version, runs.Image}, {"SV_URL", s.Toolkit.Sponsor, runs.Sponsor}, {"SCAN_URL", s.Toolkit.Scan, runs.Scan},
		{"PARTY_HINT", s.Toolkit.PartyHint, runs.PartyHint}, {"MIGRATION_ID", s.Toolkit.Migration, runs.Migration},
	} {
		if item.written != "" && item.real != "" && item.written != item.real {
			d.add("drift", warning, fmt.Sprintf("the node runs with %s, %s says %s", item.real, item.key, item.written), "mend "+item.key+" in toolkit.conf, or start the node as it says")
		}
	}
}

func (d *doctor) databases(ctx context.Context, s config.Settings, engine *docker.Client, node canton.Node, query canton.Query) {
	folder, err := os.MkdirTemp("", "canton-backup-doctor-")
	if err != nil {
		d.check("postgres", err, "")
		return
	}
	defer os.RemoveAll(folder)
	session, err := node.Server(engine, s.Node.Name, folder).Open(ctx, "postgres", "doctor")
	if err != nil {
		d.check("postgres", err, "")
		return
	}
	var facts backupset.NodeFacts
	all, err := canton.ServerFacts(ctx, session, &facts)
	err = errors.Join(err, session.Close())
	if !d.check("postgres", err, "PostgreSQL "+facts.ServerVersion+" in "+node.Postgres.Name) {
		return
	}
	if facts.DataChecksums != "on" {
		d.add("checksums", warning, "data checksums are off: a dump of a silently damaged page looks like any other", "with the node stopped: pg_checksums --enable")
	}
	databases, err := node.Resolve(query, all)
	d.check("databases", err, fmt.Sprintf("%s %s, %s %s", databases.Validator, humanize.IBytes(uint64(all[databases.Validator])), databases.Participant, humanize.IBytes(uint64(all[databases.Participant]))))
}

func (d *doctor) worker(ctx context.Context, s config.Settings) {
	cl, err := dial(ctx, s)
	if err != nil {
		d.add("worker", failed, err.Error(), "start canton-backup-worker, e.g.: systemctl start canton-backup-worker")
		return
	}
	defer cl.Close()
	d.add("worker", ok, "", "")
	schedule, err := showSchedule(ctx, cl, s.Node.Name)
	switch {
	case err != nil:
		d.add("schedule", failed, err.Error(), "canton-backup schedule apply")
	case schedule.Paused:
		d.add("schedule", warning, "paused: "+schedule.Note, "canton-backup schedule resume")
	default:
		d.add("schedule", ok, "every "+schedule.Every.String(), "")
	}
}
