package backupset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is the outcome of a check. What could not be checked is UNKNOWN; only evidence makes a PASS.
type Verdict string

// The verdicts.
const (
	Pass    Verdict = "PASS"
	Fail    Verdict = "FAIL"
	Unknown Verdict = "UNKNOWN"
)

// Check is one law applied to one set.
type Check struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"` // the figures that decided, in a sentence
}

// ValidatorEvidence is what the validator database says in the snapshot that was dumped (domain 4.2, 4.3 B).
type ValidatorEvidence struct {
	Stores       int      `json:"stores"`                 // rows of the newest migration id
	MaxOffset    *int64   `json:"max_offset,omitempty"`   // greatest last ingested offset
	Participants []string `json:"participants"`           // descriptor->>'participant', distinct
	MigrationID  *int64   `json:"migration_id,omitempty"` // newest
	Missing      string   `json:"missing,omitempty"`      // why the evidence could not be read: a table or column that is not there
}

// ParticipantEvidence is what the participant database says in the snapshot that was dumped (domain 4.1, 4.3 A, A2).
type ParticipantEvidence struct {
	Rows             int        `json:"rows"`                        // rows of lapi_parameters: exactly one on a healthy node
	LedgerEnd        *int64     `json:"ledger_end,omitempty"`        // NULL on a participant that saw nothing yet
	PrunedTo         *int64     `json:"pruned_to,omitempty"`         // participant_pruned_up_to_inclusive
	NodeIDs          []string   `json:"node_ids"`                    // PAR::identifier::namespace of common_node_id
	RecordTime       *time.Time `json:"record_time,omitempty"`       // newest network time in the dump
	PrivateKeys      int64      `json:"private_keys"`                // number only, never the keys
	WrappedKeys      int64      `json:"wrapped_keys"`                // encrypted with a KMS wrapper key
	KeyIDs           string     `json:"key_ids,omitempty"`           // SHA-256 of the sorted ids of the private keys, lower-case hex
	KMSKeys          int64      `json:"kms_keys"`                    // kept in a KMS
	PruningRetention *int64     `json:"pruning_retention,omitempty"` // seconds
	Synchronizers    []string   `json:"synchronizers,omitempty"`     // physical ids of active connections
	Missing          string     `json:"missing,omitempty"`           // why the ledger's end could not be read
	Unread           []string   `json:"unread,omitempty"`            // why parts of the rest could not be
}

// Prove applies laws 1 and 2 to a pair of dumps. The verdict is FAIL when any check fails, PASS when all pass.
func Prove(validator, participant Component) ([]Check, Verdict) {
	checks := []Check{
		proveOrder(validator, participant),
		provePair(validator.ValidatorEvidence, participant.ParticipantEvidence),
		proveIdentity(validator.ValidatorEvidence, participant.ParticipantEvidence),
		provePruning(validator.ValidatorEvidence, participant.ParticipantEvidence),
	}
	return checks, verdictOf(checks)
}

// ProveRestored applies law 2 to the databases that a restore has loaded. Order was proven when they were dumped.
func ProveRestored(validator, participant Component) ([]Check, Verdict) {
	checks := []Check{
		provePair(validator.ValidatorEvidence, participant.ParticipantEvidence),
		proveIdentity(validator.ValidatorEvidence, participant.ParticipantEvidence),
		provePruning(validator.ValidatorEvidence, participant.ParticipantEvidence),
	}
	return checks, verdictOf(checks)
}

func verdictOf(checks []Check) Verdict {
	verdict := Pass
	for _, c := range checks {
		switch {
		case c.Verdict == Fail:
			return Fail
		case c.Verdict != Pass:
			verdict = Unknown
		}
	}
	return verdict
}

// SameKeys says how the private keys of a restored participant differ from those that were recorded, empty when they do not.
func SameKeys(recorded, restored Component) string {
	want, got := recorded.ParticipantEvidence, restored.ParticipantEvidence
	switch {
	case want == nil || got == nil || want.KeyIDs == got.KeyIDs && want.PrivateKeys == got.PrivateKeys && want.KMSKeys == got.KMSKeys:
		return ""
	case want.KeyIDs == "" && want.PrivateKeys == got.PrivateKeys:
		return "" // the set is older than this check
	case want.PrivateKeys != got.PrivateKeys:
		return fmt.Sprintf("%d private keys were dumped, %d are in the restored database", want.PrivateKeys, got.PrivateKeys)
	default:
		return "the private keys in the restored database are not those that were dumped"
	}
}

// SameEvidence says how what a restored database tells differs from what was recorded when it was dumped, empty when it does not.
func SameEvidence(recorded, restored Component) string {
	want, err := json.Marshal([]any{recorded.ValidatorEvidence, withoutKeys(recorded.ParticipantEvidence)})
	if err != nil {
		return err.Error()
	}
	got, err := json.Marshal([]any{restored.ValidatorEvidence, withoutKeys(restored.ParticipantEvidence)})
	if err != nil {
		return err.Error()
	}
	if bytes.Equal(want, got) {
		return ""
	}
	return fmt.Sprintf("the dump recorded %s, the database says %s", want, got)
}

// withoutKeys leaves out what SameKeys compares.
func withoutKeys(e *ParticipantEvidence) *ParticipantEvidence {
	if e == nil {
		return nil
	}
	rest := *e
	rest.PrivateKeys, rest.WrappedKeys, rest.KMSKeys, rest.KeyIDs = 0, 0, 0, ""
	return &rest
}

// proveOrder is law 1, domain R1: the validator's dump is complete before the participant's starts.
func proveOrder(validator, participant Component) Check {
	const name = "order"
	if validator.SystemID == "" || participant.SystemID == "" {
		return Check{name, Unknown, "the server's identifier was not recorded"}
	}
	if validator.SystemID != participant.SystemID {
		return Check{name, Fail, fmt.Sprintf("the dumps come from two servers, %s and %s", validator.SystemID, participant.SystemID)}
	}
	end, err := validator.EndLSN.Uint64()
	if err != nil {
		return Check{name, Unknown, err.Error()}
	}
	start, err := participant.StartLSN.Uint64()
	if err != nil {
		return Check{name, Unknown, err.Error()}
	}
	detail := fmt.Sprintf("validator dump ended at WAL %s, participant snapshot taken at %s", validator.EndLSN, participant.StartLSN)
	if end > start {
		return Check{name, Fail, detail + ": the participant dump began before the validator dump was complete"}
	}
	return Check{name, Pass, detail}
}

// provePair is law 2, domain 4.3: the validator has ingested nothing that the participant's ledger does not hold.
func provePair(v *ValidatorEvidence, p *ParticipantEvidence) Check {
	const name = "pair"
	if why := unreadable(v, p); why != "" {
		return Check{name, Unknown, why}
	}
	if p.Rows != 1 {
		return Check{name, Unknown, fmt.Sprintf("participant.lapi_parameters has %d rows, not one", p.Rows)}
	}
	if v.Stores == 0 || v.MaxOffset == nil {
		return Check{name, Unknown, "the validator has no ingestion offset yet"}
	}
	var end int64
	if p.LedgerEnd != nil {
		end = *p.LedgerEnd
	}
	detail := fmt.Sprintf("validator ingested %d, participant ledger end %d", *v.MaxOffset, end)
	switch {
	case *v.MaxOffset > end:
		return Check{name, Fail, detail + ": the validator is ahead of the participant"}
	case *v.MaxOffset <= 0 || end == 0:
		return Check{name, Unknown, detail + ": nothing to compare on a fresh node"}
	default:
		return Check{name, Pass, detail}
	}
}

// proveIdentity is law 2, domain I2: both databases speak of the same participant.
func proveIdentity(v *ValidatorEvidence, p *ParticipantEvidence) Check {
	const name = "identity"
	if why := unreadable(v, p); why != "" {
		return Check{name, Unknown, why}
	}
	if len(p.NodeIDs) != 1 {
		return Check{name, Unknown, strings.Join(append([]string{fmt.Sprintf("participant.common_node_id gave %d ids, not one", len(p.NodeIDs))}, p.Unread...), "; ")}
	}
	if len(v.Participants) == 0 {
		return Check{name, Unknown, "no store descriptor of the validator names a participant"}
	}
	for _, named := range v.Participants {
		if named != p.NodeIDs[0] {
			return Check{name, Fail, fmt.Sprintf("validator speaks of %s, participant is %s", strings.Join(v.Participants, " and "), p.NodeIDs[0])}
		}
	}
	return Check{name, Pass, "both databases speak of " + p.NodeIDs[0]}
}

// provePruning is domain I3: a participant pruned past the validator's offset stops the validator app at start.
func provePruning(v *ValidatorEvidence, p *ParticipantEvidence) Check {
	const name = "pruning"
	if why := unreadable(v, p); why != "" {
		return Check{name, Unknown, why}
	}
	if p.PrunedTo == nil || *p.PrunedTo == 0 {
		return Check{name, Pass, "the participant is not pruned"}
	}
	if v.MaxOffset == nil {
		return Check{name, Unknown, "the validator has no ingestion offset yet"}
	}
	detail := fmt.Sprintf("validator ingested %d, participant pruned up to %d", *v.MaxOffset, *p.PrunedTo)
	if *v.MaxOffset < *p.PrunedTo {
		return Check{name, Fail, detail + ": the validator would ask for pruned data"}
	}
	return Check{name, Pass, detail}
}

func unreadable(v *ValidatorEvidence, p *ParticipantEvidence) string {
	var why []string
	switch {
	case v == nil:
		why = append(why, "the validator database was not examined")
	case v.Missing != "":
		why = append(why, v.Missing)
	}
	switch {
	case p == nil:
		why = append(why, "the participant database was not examined")
	case p.Missing != "":
		why = append(why, p.Missing)
	}
	return strings.Join(why, "; ")
}

// Unproven returns the details of the checks that did not pass, joined, for an error's text.
func Unproven(checks []Check) string {
	return details(slices.DeleteFunc(slices.Clone(checks), func(c Check) bool { return c.Verdict == Pass }))
}

// Failed returns the details of the failed checks, joined, for an error's text.
func Failed(checks []Check) string {
	return details(slices.DeleteFunc(slices.Clone(checks), func(c Check) bool { return c.Verdict != Fail }))
}

func details(checks []Check) string {
	texts := make([]string, len(checks))
	for i, c := range checks {
		texts[i] = c.Name + ": " + c.Detail
	}
	return strings.Join(texts, "; ")
}
