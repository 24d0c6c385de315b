package backupset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Format is the newest version of the manifest that this program writes and reads. Readers refuse a higher one and ignore unknown fields.
// 2: files may be encrypted, and a set may hold identities; a set with neither is still written as 1.
const Format = 2

// ErrNewerFormat: the manifest was written by a later version of this program.
var ErrNewerFormat = errors.New("manifest is of a newer format")

// Role says which half of the pair a component is.
type Role string

// The two halves of the pair, of which the validator's dump is complete before the participant's starts (law 1, domain R1), and the node's
// identities, a second lifeline that stands by itself (domain R5).
const (
	Validator   Role = "validator"
	Participant Role = "participant"
	Identities  Role = "identities"
)

// Component is one file of a set: a dump, or the identities.
type Component struct {
	Role         Role       `json:"role"`
	Database     string     `json:"database,omitempty"`      // of a dump
	File         string     `json:"file"`                    // DumpName, or IdentitiesName
	Size         int64      `json:"size"`                    // bytes of the file
	SHA256       string     `json:"sha256"`                  // of the file, lower-case hex
	PlainSize    int64      `json:"plain_size"`              // bytes of the text: SQL, or JSON of the identities
	PlainSHA256  string     `json:"plain_sha256"`            // of the text
	DatabaseSize int64      `json:"database_size,omitempty"` // pg_database_size, bytes
	Contents     *Contents  `json:"contents,omitempty"`      // what the dump holds, for the proof that a restored copy is equal
	Codec        Codec      `json:"codec,omitempty"`         // empty: not compressed, as identities are
	ZstdLevel    int        `json:"zstd_level,omitempty"`    // of most of the file, which may have parts of several
	Encryption   Encryption `json:"encryption,omitempty"`
	Recipients   []string   `json:"recipients,omitempty"` // fingerprints of the public keys, any one of which opens the file
	StartedAt    time.Time  `json:"started_at"`           // decoration: order is proven by the positions below
	CompletedAt  time.Time  `json:"completed_at"`         // decoration
	SystemID     string     `json:"system_id"`            // pg_control_system().system_identifier of the server
	StartLSN     LSN        `json:"start_lsn"`            // read in the transaction whose snapshot is dumped
	EndLSN       LSN        `json:"end_lsn"`              // read after pg_dump ended
	Client       string     `json:"client"`               // `pg_dump --version`
	Attempt      int        `json:"attempt"`              // which attempt of the run made it, from 1
	Warnings     string     `json:"warnings,omitempty"`   // what pg_dump complained of, although it succeeded

	ValidatorEvidence   *ValidatorEvidence   `json:"validator_evidence,omitempty"`
	ParticipantEvidence *ParticipantEvidence `json:"participant_evidence,omitempty"`
	IdentitiesEvidence  *IdentitiesEvidence  `json:"identities_evidence,omitempty"`
}

// SnapshotHeld is how long the dump kept its snapshot open. For so long the server's vacuum could remove no row that died since, in any table, and no table could
// be altered.
func (c Component) SnapshotHeld() time.Duration { return c.CompletedAt.Sub(c.StartedAt) }

// IdentitiesEvidence is what a dump of identities says of itself, without its keys.
type IdentitiesEvidence struct {
	ID      string    `json:"id"`      // participant, "PAR::name::fingerprint"
	Version string    `json:"version"` // of Splice, when it was taken
	Keys    string    `json:"keys"`    // digest of the keys: tells whether they changed, and nothing of them
	TakenAt time.Time `json:"taken_at"`
	For     ID        `json:"fetched_for"` // the set for which the node was asked; a later one carries them on while it cannot be
}

// NodeFacts is what the containers themselves said about the node when the run began (domain 2.6). It holds no secret.
type NodeFacts struct {
	Project         string            `json:"project"`        // compose project
	WorkingDir      string            `json:"working_dir"`    // folder of the compose files
	ConfigFiles     string            `json:"config_files"`   // compose files in use, comma separated: tells whether -a was given
	PostgresImage   string            `json:"postgres_image"` // reference
	PostgresImageID string            `json:"postgres_image_id"`
	PostgresVolume  string            `json:"postgres_volume"`
	ServerVersion   string            `json:"server_version"`  // SHOW server_version
	DataChecksums   string            `json:"data_checksums"`  // on | off
	Roles           []string          `json:"roles,omitempty"` // of the server, without its own: a dump grants to them and does not make them
	Images          map[string]string `json:"images"`          // service -> image reference
	ImageIDs        map[string]string `json:"image_ids"`       // service -> image digest
	Launch          map[string]string `json:"launch"`          // start.sh flags as far as the containers show them: party_hint, participant_identifier, scan_address, sponsor_sv_address, migration_id
}

// Manifest describes one sealed set. It is written last; without it the set does not exist.
type Manifest struct {
	Format     int         `json:"format"`
	Set        ID          `json:"set"`
	Node       string      `json:"node"`
	Network    string      `json:"network"`
	Reason     string      `json:"reason,omitempty"` // why an operator asked for it
	SealedAt   time.Time   `json:"sealed_at"`
	Program    string      `json:"program"` // name and version of the writer
	Facts      NodeFacts   `json:"facts"`
	Components []Component `json:"components"`
	Checks     []Check     `json:"checks"`
	Verdict    Verdict     `json:"verdict"`
}

// Component returns the component of that role.
func (m Manifest) Component(role Role) (Component, bool) {
	for _, c := range m.Components {
		if c.Role == role {
			return c, true
		}
	}
	return Component{}, false
}

// Dumps are the two halves of the pair.
func (m Manifest) Dumps() []Component {
	var dumps []Component
	for _, c := range m.Components {
		if c.Role != Identities {
			dumps = append(dumps, c)
		}
	}
	return dumps
}

// Plain reports whether a file of the set is not encrypted.
func (m Manifest) Plain() bool {
	return slices.ContainsFunc(m.Components, func(c Component) bool { return c.Encryption == Unencrypted })
}

// FreshIdentities reports whether the set's identities were fetched when it was made, and not carried on from an earlier one.
func (m Manifest) FreshIdentities() bool {
	c, has := m.Component(Identities)
	return has && c.IdentitiesEvidence != nil && c.IdentitiesEvidence.For == m.Set
}

// FormatFor is the version that a manifest of these components needs: the lowest, so that earlier programs read what they can.
func FormatFor(components []Component) int {
	for _, c := range components {
		if c.Encryption != Unencrypted || c.Role == Identities {
			return 2
		}
	}
	return 1
}

// ParticipantID is the id of the participant whose keys and ledger the set holds, "PAR::name::fingerprint". Empty when the
// participant's database did not tell it, or told several.
func (m Manifest) ParticipantID() string {
	c, _ := m.Component(Participant)
	return c.ParticipantID()
}

// ParticipantID is Manifest.ParticipantID of its participant's dump.
func (c Component) ParticipantID() string {
	if c.ParticipantEvidence == nil || len(c.ParticipantEvidence.NodeIDs) != 1 {
		return ""
	}
	return c.ParticipantEvidence.NodeIDs[0]
}

// Epoch names the state of the synchronizer that the set was taken in, for people and for comparison: the physical ids of the active
// connections, whose last part is "<protocol version>-<serial>" and changes with each logical synchronizer upgrade; on a Canton
// before 3.4, which has none, the migration id. The key's fingerprint in an id is cut short. Empty when neither was recorded (domain R15, 4.1).
func (m Manifest) Epoch() string {
	if c, ok := m.Component(Participant); ok && c.ParticipantEvidence != nil && len(c.ParticipantEvidence.Synchronizers) > 0 {
		ids := slices.Clone(c.ParticipantEvidence.Synchronizers)
		slices.Sort(ids)
		for i, id := range ids {
			ids[i] = fingerprint.ReplaceAllString(id, "::${1}…")
		}
		return strings.Join(slices.Compact(ids), " + ")
	}
	if c, ok := m.Component(Validator); ok && c.ValidatorEvidence != nil && c.ValidatorEvidence.MigrationID != nil {
		return fmt.Sprintf("migration id %d", *c.ValidatorEvidence.MigrationID)
	}
	return ""
}

var fingerprint = regexp.MustCompile(`::([0-9a-f]{12})[0-9a-f]{20,}`)

// Bytes is the size of the set's dumps as stored.
func (m Manifest) Bytes() int64 {
	var total int64
	for _, c := range m.Components {
		total += c.Size
	}
	return total
}

// Encode writes the manifest as indented JSON with a final newline.
func (m Manifest) Encode() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest %s: %w", m.Set, err)
	}
	return append(data, '\n'), nil
}

// recipientPattern is what public keys are called: an age recipient, an SSH key's digest, an OpenPGP fingerprint. Manifests come from targets, and a
// name may become an argument of gpg.
var recipientPattern = regexp.MustCompile(`^(age1[0-9a-z]+|SHA256:[A-Za-z0-9+/]{43}|[0-9A-F]{40}|[0-9A-F]{64})$`)

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Decode reads a manifest and refuses one that does not describe a whole set under its own names: what it says decides
// which files are deleted, so a forged or damaged manifest must never reach a foreign file (law 5).
func Decode(data []byte) (Manifest, error) {
	var m Manifest
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w", err)
	}
	if m.Format > Format {
		return Manifest{}, fmt.Errorf("decode manifest %s: %w: %d, this program reads up to %d", m.Set, ErrNewerFormat, m.Format, Format)
	}
	if err := m.validate(); err != nil {
		return Manifest{}, fmt.Errorf("decode manifest %q: %w", string(m.Set), err)
	}
	return m, nil
}

func (m Manifest) validate() error {
	if m.Format < 1 {
		return errors.New("format is missing")
	}
	if _, err := ParseID(string(m.Set)); err != nil {
		return err
	}
	if m.Node == "" {
		return errors.New("node is missing")
	}
	if m.SealedAt.IsZero() {
		return errors.New("sealed_at is missing")
	}
	seen := map[Role]bool{}
	for _, c := range m.Components {
		if c.Role != Validator && c.Role != Participant && c.Role != Identities || seen[c.Role] {
			return fmt.Errorf("role %q is unknown or stands twice", c.Role)
		}
		seen[c.Role] = true
		if c.Encryption != Unencrypted && c.Encryption != Age && c.Encryption != GPG {
			return fmt.Errorf("encryption %q is unknown", c.Encryption)
		}
		for _, r := range c.Recipients {
			if !recipientPattern.MatchString(r) {
				return fmt.Errorf("recipient %q is no fingerprint", r)
			}
		}
		name := IdentitiesName(m.Set, c.Encryption)
		if c.Role != Identities {
			if c.Codec.Suffix() == "" {
				return fmt.Errorf("codec %q is unknown", c.Codec)
			}
			name = DumpName(c.Database, m.Set, c.Codec, c.Encryption)
		}
		if c.File != name {
			return fmt.Errorf("file name %q is not the one of database %q in this set", c.File, c.Database)
		}
		if c.Size <= 0 || !digestPattern.MatchString(c.SHA256) {
			return fmt.Errorf("size or digest of %q is missing", c.File)
		}
	}
	if !seen[Validator] || !seen[Participant] {
		return errors.New("one half of the pair is missing") // domain R3: a set without the participant holds no keys
	}
	return nil
}
