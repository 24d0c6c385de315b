package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"canton-backup/activities"
	"canton-backup/internal/attributes"
	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
	"canton-backup/internal/notify"
)

// BackupInput is the input of Backup. The zero value is a plain backup.
type BackupInput struct {
	Reason string `json:"reason,omitempty"` // why an operator asked for it; goes into the manifest
}

// Outcome is how a backup ended.
type Outcome string

// The outcomes of a backup that did not fail.
const (
	Done       Outcome = "done"
	Incomplete Outcome = "incomplete" // the set is sealed, and at least one of several targets has not got it
)

// BackupResult is the result of Backup.
type BackupResult struct {
	Set              backupset.ID      `json:"set"`
	Outcome          Outcome           `json:"outcome"`
	Verdict          backupset.Verdict `json:"verdict"`
	Checks           []backupset.Check `json:"checks"`
	Bytes            int64             `json:"bytes"`
	Targets          []TargetResult    `json:"targets,omitempty"`
	Warnings         []string          `json:"warnings,omitempty"`
	LastGood         backupset.ID      `json:"last_good,omitempty"` // newest verified set before this one
	Alerts           []string          `json:"alerts,omitempty"`    // of keys that expire, and identities that could not be had
	Changed          string            `json:"changed,omitempty"`   // the node became another participant: from which, to which
	AlertUndelivered string            `json:"alert_undelivered,omitempty"`
}

// TargetResult is what became of one target's copy.
type TargetResult struct {
	Target   config.Kind `json:"target"`
	Location string      `json:"location"`
	Error    string      `json:"error,omitempty"` // "Name: text", empty when the copy was verified there
	Removed  int         `json:"removed"`         // sets pruned
}

// Backup makes one backup set of the node whose queue it runs on, copies it to the targets and prunes. The operator hears of a
// failure, and of a set that is made and not as it should be; a run that was cancelled raises no alarm, and one that finds the node busy
// only when that lasts.
func Backup(ctx workflow.Context, in BackupInput) (BackupResult, error) {
	var result BackupResult
	err := underLock(ctx, BackupNode, in, &result)
	name, text := cause(err)
	switch {
	case temporal.IsCanceledError(err):
		return result, err
	case name == activities.NodeBusy:
		alarmWhenLasting(ctx, notify.Alert{Key: causeKey("Backup", "start", name), Step: "start", Cause: name + ": " + text, Next: activities.NextStep(name)})
		return result, err
	}
	wait := pingOutcome(ctx, result, err)
	if err == nil {
		result.tell(ctx)
	} else {
		alarm(ctx, notify.Alert{Key: causeKey("Backup", step(err), name), Step: step(err), Cause: name + ": " + text, Next: activities.NextStep(name)})
	}
	wait()
	return result, err
}

// BackupNode is the body of Backup, run under the node's lock.
func BackupNode(ctx workflow.Context, in BackupInput) (BackupResult, error) {
	if err := lockedOnly(ctx, "Backup"); err != nil {
		return BackupResult{}, err
	}
	journal, err := newJournal(ctx)
	if err != nil {
		return BackupResult{}, err
	}
	run := &backup{journal: journal, in: in, set: backupset.NewID(workflow.Now(ctx)), behind: map[config.Kind]bool{}}
	if workflow.GetVersion(ctx, "a run pings", workflow.DefaultVersion, 1) == 1 {
		start := ping(ctx, activities.PingStart)
		defer pinged(ctx, start) // before the outcome's, and beside the run until then
	}
	result, err := run.run(ctx)
	if err != nil {
		name, text := cause(err)
		if temporal.IsCanceledError(err) {
			name, text = "Cancelled", "the run was cancelled"
		}
		journal.say(ctx, "✗ Backup failed at %s: %s: %s", step(err), name, text)
		run.discard(ctx)
	}
	return result, err
}

// backup is one run.
type backup struct {
	*journal
	in          BackupInput
	set         backupset.ID
	plan        activities.Plan
	validator   activities.Dump
	participant activities.Dump
	identities  *activities.Dump // nil: the set holds none
	sealed      activities.Sealed
	targets     []TargetResult
	behind      map[config.Kind]bool // targets that did not get all that they had missed
}

// run is the life of a backup set.
func (b *backup) run(ctx workflow.Context) (BackupResult, error) {
	for _, step := range []func(workflow.Context) error{b.preflight, b.dumpValidator, b.dumpParticipant, b.dumpIdentities, b.seal, b.upload, b.catchUp, b.prune} {
		if err := step(ctx); err != nil {
			return BackupResult{}, err
		}
	}
	return b.result(ctx)
}

func (b *backup) preflight(ctx workflow.Context) error {
	err := workflow.ExecuteActivity(lookClass.options(ctx, string(b.set)), node.Preflight, activities.PreflightInput{Set: b.set}).Get(ctx, &b.plan)
	if err != nil {
		return err
	}
	b.mark(ctx, attributes.Node.ValueSet(b.plan.Node), attributes.Network.ValueSet(b.plan.Network), attributes.Set.ValueSet(string(b.set)))
	kinds := "skip"
	for i, t := range b.plan.Targets {
		if i == 0 {
			kinds = string(t.Kind)
		} else {
			kinds += "," + string(t.Kind)
		}
	}
	b.say(ctx, "Starting backup — network: %s, type: %s", b.plan.Network, kinds)
	b.say(ctx, "PostgreSQL container: %s", b.plan.Container)
	for _, w := range b.plan.Warnings {
		b.say(ctx, "⚠ %s", w)
	}
	return nil
}

func (b *backup) dumpValidator(ctx workflow.Context) error {
	b.say(ctx, "Dumping validator DB...")
	err := workflow.ExecuteActivity(dumpClass.options(ctx, b.plan.Validator), dumps.DumpValidator, activities.DumpInput{Set: b.set, Plan: b.plan}).Get(ctx, &b.validator)
	if err == nil {
		b.sayDump(ctx, b.validator)
	}
	return err
}

// dumpParticipant begins only now, with the validator's dump complete and in its hands (law 1).
func (b *backup) dumpParticipant(ctx workflow.Context) error {
	b.say(ctx, "Dumping participant DB (%s)...", b.plan.Participant)
	in := activities.DumpParticipantInput{DumpInput: activities.DumpInput{Set: b.set, Plan: b.plan}, Validator: b.validator}
	err := workflow.ExecuteActivity(dumpClass.options(ctx, b.plan.Participant), dumps.DumpParticipant, in).Get(ctx, &b.participant)
	if err == nil {
		b.sayDump(ctx, b.participant)
	}
	return err
}

// dumpIdentities adds the second lifeline. For want of it no backup fails.
func (b *backup) dumpIdentities(ctx workflow.Context) error {
	if workflow.GetVersion(ctx, "a set holds identities", workflow.DefaultVersion, 1) != 1 {
		return nil
	}
	in := activities.IdentitiesInput{DumpInput: activities.DumpInput{Set: b.set, Plan: b.plan}, Participant: b.participant.Component.ParticipantID()}
	var dump activities.IdentitiesDump
	err := workflow.ExecuteActivity(lookClass.options(ctx, "identities"), dumps.DumpIdentities, in).Get(ctx, &dump)
	if ctx.Err() != nil || temporal.IsCanceledError(err) {
		return err
	}
	if err != nil {
		name, text := cause(err)
		dump = activities.IdentitiesDump{Warning: activities.IdentitiesMissing + ": " + name + ": " + text}
	}
	b.identities = dump.Dump
	if b.identities != nil {
		b.sayDump(ctx, *b.identities)
	}
	if dump.New {
		b.plan.Alerts = append(b.plan.Alerts, dump.Warning)
	}
	if dump.Warning != "" {
		b.warn(ctx, dump.Warning)
	}
	return nil
}

func (b *backup) sayDump(ctx workflow.Context, d activities.Dump) {
	b.say(ctx, "✓ %s — %s", d.Component.File, human(d.Component.Size))
	if w := d.Component.Warnings; w != "" {
		b.warn(ctx, "pg_dump: "+w)
	}
}

// warn tells of what is not as it should be, in the run's log and in its result.
func (b *backup) warn(ctx workflow.Context, text string) {
	b.plan.Warnings = append(b.plan.Warnings, text)
	b.say(ctx, "⚠ %s", text)
}

func (b *backup) seal(ctx workflow.Context) error {
	in := activities.SealInput{Set: b.set, Reason: b.in.Reason, Plan: b.plan, Validator: b.validator, Participant: b.participant, Identities: b.identities}
	if err := workflow.ExecuteActivity(sealClass.options(ctx, string(b.set)), sets.Seal, in).Get(ctx, &b.sealed); err != nil {
		return err
	}
	for _, c := range b.sealed.Checks {
		if c.Verdict != backupset.Pass {
			b.say(ctx, "⚠ Check %s: %s — %s", c.Name, c.Verdict, c.Detail)
		}
	}
	if b.sealed.Changed != "" {
		b.say(ctx, "⚠ %s", b.sealed.Changed)
	}
	b.say(ctx, "✓ Set %s sealed — pair: %s", b.set, b.sealed.Verdict)
	return nil
}

// upload copies to all targets at once; one that fails does not keep the others from theirs.
func (b *backup) upload(ctx workflow.Context) error {
	futures := make([]workflow.Future, len(b.plan.Targets))
	for i, t := range b.plan.Targets {
		b.say(ctx, "Syncing to %s ...", t.Location)
		futures[i] = workflow.ExecuteActivity(uploadClass.options(ctx, t.Location), sets.Upload, activities.UploadInput{Set: b.set, Target: t.Kind})
	}
	var failed error
	for i, t := range b.plan.Targets {
		outcome := TargetResult{Target: t.Kind, Location: t.Location}
		err := futures[i].Get(ctx, nil)
		switch {
		case err == nil:
			b.say(ctx, "✓ %s upload complete", t.Kind)
		case ctx.Err() != nil || temporal.IsCanceledError(err):
			return err
		default:
			name, text := cause(err)
			outcome.Error, failed = name+": "+text, err
			b.say(ctx, "✗ %s upload failed: %s", t.Kind, outcome.Error)
		}
		b.targets = append(b.targets, outcome)
	}
	if failed != nil && len(b.good()) == 0 {
		return failed
	}
	return nil
}

// catchUp brings the targets that have the new set what they missed while they were down. What cannot be sent now is sent by a later run.
func (b *backup) catchUp(ctx workflow.Context) error {
	if len(b.good()) == 0 || workflow.GetVersion(ctx, "targets catch up", workflow.DefaultVersion, 1) != 1 {
		return nil
	}
	futures := map[int]workflow.Future{}
	for _, i := range b.good() {
		in := activities.CatchUpInput{Set: b.set, Target: b.targets[i].Target}
		futures[i] = workflow.ExecuteActivity(uploadClass.options(ctx, b.targets[i].Location), sets.CatchUp, in)
	}
	for _, i := range b.good() {
		var caught activities.CaughtUp
		err := futures[i].Get(ctx, &caught)
		if ctx.Err() != nil || temporal.IsCanceledError(err) {
			return err
		}
		if err != nil {
			name, text := cause(err)
			b.behind[b.targets[i].Target] = true
			b.warn(ctx, fmt.Sprintf("%s did not get all sets that it missed: %s: %s", b.targets[i].Target, name, text))
		}
		if n := len(caught.Sets); n > 0 {
			b.say(ctx, "✓ %s caught up, %d set(s)", b.targets[i].Target, n)
		}
		if caught.Left > 0 {
			b.say(ctx, "%d more set(s) that %s missed are left to later runs", caught.Left, b.targets[i].Target)
		}
	}
	return nil
}

// discard clears the staging folder after a failure, on a context that survives a cancellation. Its own failure is a line, for
// it must not hide the cause, and the next Preflight clears the folder too.
func (b *backup) discard(ctx workflow.Context) {
	if b.plan.Node == "" {
		return // nothing was begun
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	err := workflow.ExecuteActivity(lookClass.options(ctx, string(b.set)), dumps.Discard, activities.DiscardInput{Set: b.set}).Get(ctx, nil)
	if err != nil {
		name, text := cause(err)
		b.say(ctx, "⚠ Staged files of set %s could not be removed: %s: %s", b.set, name, text)
	}
}

func (b *backup) good() []int {
	var good []int
	for i, t := range b.targets {
		if t.Error == "" {
			good = append(good, i)
		}
	}
	return good
}

// prune goes over this host and the targets that hold the new set. A target that is down for weeks must not fill this host's disk:
// what retention releases here it would release there too. A prune that fails costs disk, not data: the set is good, so it is a warning.
func (b *backup) prune(ctx workflow.Context) error {
	if len(b.good()) == len(b.targets) || workflow.GetVersion(ctx, "local sets are pruned although a target failed", workflow.DefaultVersion, 1) == 1 {
		if _, err := b.pruned(ctx, prunes.PruneLocal, activities.PruneInput{Set: b.set}, "local"); err != nil {
			return err
		}
	}
	for _, i := range b.good() {
		removed, err := b.pruned(ctx, prunes.PruneRemote, activities.PruneInput{Set: b.set, Target: b.targets[i].Target, KeepOpen: b.behind[b.targets[i].Target]}, string(b.targets[i].Target))
		if err != nil {
			return err
		}
		b.targets[i].Removed = removed
	}
	return nil
}

func (b *backup) pruned(ctx workflow.Context, activity any, in activities.PruneInput, where string) (int, error) {
	var pruned activities.Pruned
	err := workflow.ExecuteActivity(pruneClass.options(ctx, where), activity, in).Get(ctx, &pruned)
	if ctx.Err() != nil || temporal.IsCanceledError(err) {
		return 0, err
	}
	if err != nil {
		name, text := cause(err)
		b.plan.Warnings = append(b.plan.Warnings, fmt.Sprintf("prune of %s failed: %s: %s", where, name, text))
		b.say(ctx, "⚠ Prune of %s failed: %s: %s", where, name, text)
		return 0, nil
	}
	if len(pruned.Removed) > 0 {
		b.say(ctx, "✓ Pruned %d old set(s) at %s", len(pruned.Removed), pruned.Location)
	}
	if pruned.Denied != "" {
		b.warn(ctx, cannotPrune(pruned))
	}
	return len(pruned.Removed), nil
}

func (b *backup) result(ctx workflow.Context) (BackupResult, error) {
	r := BackupResult{Set: b.set, Outcome: Done, Verdict: b.sealed.Verdict, Checks: b.sealed.Checks, Bytes: b.sealed.Bytes, Targets: b.targets, Warnings: b.plan.Warnings, Alerts: b.plan.Alerts, LastGood: b.plan.LastGood, Changed: b.sealed.Changed}
	if len(b.good()) < len(b.targets) {
		r.Outcome = Incomplete
	}
	b.mark(ctx, attributes.Outcome.ValueSet(string(r.Outcome)), attributes.Bytes.ValueSet(b.sealed.Bytes))
	if r.Outcome == Incomplete {
		b.say(ctx, "⚠ Backup completed, %d of %d targets failed", len(b.targets)-len(b.good()), len(b.targets))
		return r, nil
	}
	b.say(ctx, "✓ Backup completed successfully")
	return r, nil
}

// mark sets search attributes, for lists in the UI. Without them the run is as good.
func (b *backup) mark(ctx workflow.Context, updates ...temporal.SearchAttributeUpdate) {
	if !b.plan.Searchable {
		return
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Warn("set search attributes: " + err.Error())
	}
}
