package backupset_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
)

const participantID = "PAR::node::1220ab"

func number(n int64) *int64 { return &n }

// pair is a good pair with real MainNet offsets (domain 4.3).
func pair() (v, p backupset.Component) {
	v = backupset.Component{Role: backupset.Validator, SystemID: "7", StartLSN: "0/10", EndLSN: "0/20", ValidatorEvidence: &backupset.ValidatorEvidence{
		Stores: 2, MaxOffset: number(3691384), Participants: []string{participantID}, MigrationID: number(4)}}
	p = backupset.Component{Role: backupset.Participant, SystemID: "7", StartLSN: "0/20", EndLSN: "0/30", ParticipantEvidence: &backupset.ParticipantEvidence{
		Rows: 1, LedgerEnd: number(3691388), NodeIDs: []string{participantID}}}
	return v, p
}

func TestProve(t *testing.T) {
	for name, tc := range map[string]struct {
		change  func(v, p *backupset.Component)
		check   string
		verdict backupset.Verdict
	}{
		"good pair":                     {func(_, _ *backupset.Component) {}, "pair", backupset.Pass},
		"equal offsets pass":            {func(v, _ *backupset.Component) { v.ValidatorEvidence.MaxOffset = number(3691388) }, "pair", backupset.Pass},
		"validator ahead":               {func(v, _ *backupset.Component) { v.ValidatorEvidence.MaxOffset = number(3691389) }, "pair", backupset.Fail},
		"no row in lapi_parameters":     {func(_, p *backupset.Component) { p.ParticipantEvidence.Rows = 0 }, "pair", backupset.Unknown},
		"two rows in lapi_parameters":   {func(_, p *backupset.Component) { p.ParticipantEvidence.Rows = 2 }, "pair", backupset.Unknown},
		"ledger end null, offset known": {func(_, p *backupset.Component) { p.ParticipantEvidence.LedgerEnd = nil }, "pair", backupset.Fail},
		"zero on both sides": {func(v, p *backupset.Component) {
			v.ValidatorEvidence.MaxOffset, p.ParticipantEvidence.LedgerEnd = number(0), number(0)
		}, "pair", backupset.Unknown},
		"validator ingested nothing": {func(v, _ *backupset.Component) { v.ValidatorEvidence.MaxOffset = number(0) }, "pair", backupset.Unknown},
		"validator has no stores":    {func(v, _ *backupset.Component) { v.ValidatorEvidence.Stores = 0 }, "pair", backupset.Unknown},
		"validator table missing":    {func(v, _ *backupset.Component) { v.ValidatorEvidence.Missing = "no table" }, "pair", backupset.Unknown},
		"participant not examined":   {func(_, p *backupset.Component) { p.ParticipantEvidence = nil }, "pair", backupset.Unknown},
		"other participant": {func(v, _ *backupset.Component) {
			v.ValidatorEvidence.Participants = []string{"PAR::other::1220cd"}
		}, "identity", backupset.Fail},
		"two participants": {func(v, _ *backupset.Component) {
			v.ValidatorEvidence.Participants = []string{participantID, "PAR::other::1220cd"}
		}, "identity", backupset.Fail},
		"no participant named": {func(v, _ *backupset.Component) { v.ValidatorEvidence.Participants = nil }, "identity", backupset.Unknown},
		"no node id":           {func(_, p *backupset.Component) { p.ParticipantEvidence.NodeIDs = nil }, "identity", backupset.Unknown},
		"two node ids": {func(_, p *backupset.Component) {
			p.ParticipantEvidence.NodeIDs = []string{participantID, participantID}
		}, "identity", backupset.Unknown},
		"wrong order":       {func(v, _ *backupset.Component) { v.EndLSN = "0/21" }, "order", backupset.Fail},
		"high word decides": {func(v, p *backupset.Component) { v.EndLSN, p.StartLSN = "1/0", "0/FFFFFFFF" }, "order", backupset.Fail},
		"two servers":       {func(_, p *backupset.Component) { p.SystemID = "8" }, "order", backupset.Fail},
		"no position":       {func(_, p *backupset.Component) { p.StartLSN = "" }, "order", backupset.Unknown},
		"no server id":      {func(v, p *backupset.Component) { v.SystemID, p.SystemID = "", "" }, "order", backupset.Unknown},
		"pruned past the validator": {func(_, p *backupset.Component) {
			p.ParticipantEvidence.PrunedTo = number(3691385)
		}, "pruning", backupset.Fail},
		"pruned up to the validator": {func(_, p *backupset.Component) {
			p.ParticipantEvidence.PrunedTo = number(3691384)
		}, "pruning", backupset.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			v, p := pair()
			tc.change(&v, &p)
			checks, verdict := backupset.Prove(v, p)
			require.Equal(t, tc.verdict, verdict, "%+v", checks)
			for _, c := range checks {
				if c.Name == tc.check {
					require.Equal(t, tc.verdict, c.Verdict, c.Detail)
				}
			}
			if tc.verdict == backupset.Fail {
				require.Contains(t, backupset.Failed(checks), tc.check+": ")
			} else {
				require.Empty(t, backupset.Failed(checks))
			}
		})
	}
}
