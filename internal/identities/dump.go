package identities

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"canton-backup/internal/secret"
)

// Errors by which callers name what is wrong with a node's identities. None of them fails a backup.
var (
	// ErrUnreachable: nothing answers at the endpoint or at the identity provider, or something answers that is neither.
	ErrUnreachable = errors.New("identities endpoint does not answer")
	// ErrDenied: the app refuses our token, or the identity provider our client.
	ErrDenied = errors.New("identities access denied")
	// ErrMalformed: the answer is no identities dump, or not a whole one.
	ErrMalformed = errors.New("identities malformed")
	// ErrOtherNode: the dump belongs to another participant than the database, or the database does not say whose it is.
	ErrOtherNode = errors.New("identities not of this node")
)

// Name is the name of a warning about a node's identities, as docs/how-to/identities.md explains it; "" for an error that is none of this package's.
func Name(err error) string {
	switch {
	case errors.Is(err, ErrUnreachable):
		return "IdentitiesUnreachable"
	case errors.Is(err, ErrDenied):
		return "IdentitiesDenied"
	case errors.Is(err, ErrMalformed):
		return "IdentitiesMalformed"
	case errors.Is(err, ErrOtherNode):
		return "IdentitiesOtherNode"
	default:
		return ""
	}
}

// Facts are what may be known of a dump: they disclose no key, and stand in the manifest.
type Facts struct {
	ID        string   `json:"id"`                // PAR::<name>::<fingerprint>, as canton.ReadParticipant gives it
	Version   string   `json:"version,omitempty"` // of Splice, which made the dump; the app may leave it out
	Keys      []string `json:"keys"`              // names, sorted; "" for a key without
	KeyDigest string   `json:"key_digest"`        // SHA-256 (hex) over names and keys, the same in whatever order they come
}

// Dump is an identities dump that Parse found whole. It prints its facts alone.
type Dump struct {
	Facts
	raw secret.String
}

// Reveal returns the dump itself, byte for byte as the app sent it: private keys.
func (d *Dump) Reveal() []byte { return []byte(d.raw.Reveal()) }

// Belongs compares the dump with the participant that the database says it is, "" when it does not say. The error is ErrOtherNode.
func (d *Dump) Belongs(participantID string) error {
	if participantID == "" {
		return fmt.Errorf("compare identities: %w: the dump is of %s, and the participant's database does not say whose it is", ErrOtherNode, d.ID)
	}
	if d.ID != participantID {
		return fmt.Errorf("compare identities: %w: the dump is of %s, the participant's database of %s", ErrOtherNode, d.ID, participantID)
	}
	return nil
}

// identifier is a participant's unique id: Canton writes it as kind, name and the fingerprint of the namespace's key (a SHA-256 multihash).
var identifier = regexp.MustCompile(`^PAR::[^\s:]+(:[^\s:]+)*::1220[0-9a-f]{64}$`)

// kinds are the keys without which a participant does not come back. A rotated key keeps the kind at the front of its name.
var kinds = []string{"namespace", "signing", "encryption"}

// nodeKey is a key pair, or the name of one that an external KMS holds.
type nodeKey struct {
	Name    *string `json:"name"`
	KeyPair string  `json:"keyPair"`
	KMSKey  string  `json:"keyId"`
	Type    string  `json:"type"` // of a KMS key: signing or encryption
}

// Parse reads the body of the endpoint's answer (domain R27). The error is ErrMalformed and quotes nothing of the body, which may hold keys.
func Parse(body []byte) (*Dump, error) {
	var doc struct {
		ID       string    `json:"id"`
		Keys     []nodeKey `json:"keys"`
		Snapshot string    `json:"authorizedStoreSnapshot"`
		Version  string    `json:"version"`
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("read identities: %w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	if !json.Valid(body) {
		return nil, refuse("the answer is not JSON")
	}
	if json.Unmarshal(body, &doc) != nil {
		return nil, refuse("the answer is JSON, but no identities dump")
	}
	if !identifier.MatchString(doc.ID) {
		return nil, refuse("its id is not PAR::<name>::<fingerprint>")
	}
	names, digests := make([]string, len(doc.Keys)), make([]string, len(doc.Keys))
	for i, key := range doc.Keys {
		content, err := key.content()
		if err != nil {
			return nil, refuse("key %d: %s", i+1, err)
		}
		if key.Name != nil {
			names[i] = *key.Name
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %s", names[i], content))
		digests[i] = hex.EncodeToString(sum[:])
	}
	for _, kind := range kinds {
		if !slices.ContainsFunc(names, func(name string) bool { return name == kind || strings.HasPrefix(name, kind+"-") }) {
			return nil, refuse("no key is named %s", kind)
		}
	}
	if snapshot, err := decode(doc.Snapshot); err != nil || len(snapshot) == 0 {
		return nil, refuse("its authorizedStoreSnapshot is empty or not base64")
	}
	slices.Sort(names)
	slices.Sort(digests)
	sum := sha256.Sum256([]byte(strings.Join(digests, "\n")))
	return &Dump{
		Facts: Facts{ID: doc.ID, Version: doc.Version, Keys: names, KeyDigest: hex.EncodeToString(sum[:])},
		raw:   secret.New(string(body)),
	}, nil
}

// content is what makes the key the one it is. The error quotes nothing of it.
func (k nodeKey) content() ([]byte, error) {
	switch {
	case k.KeyPair != "" && k.KMSKey != "":
		return nil, errors.New("it is a key pair and a KMS key at once")
	case k.KMSKey != "" && k.Type != "signing" && k.Type != "encryption":
		return nil, errors.New("it is a KMS key of no known type")
	case k.KMSKey != "":
		return []byte(k.Type + " " + k.KMSKey), nil
	case k.KeyPair == "":
		return nil, errors.New("it is empty")
	}
	pair, err := decode(k.KeyPair)
	if err != nil {
		return nil, errors.New("it is not base64")
	}
	return pair, nil
}

// decode is strict: Go's decoder passes over line breaks, the node's does not.
func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("line break")
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}
