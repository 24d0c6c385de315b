// Package backupset says what a backup set is: its id, its files' names, its manifest, and the checks that prove that its
// two dumps belong together. It is pure: no clock, no disk, no network.
package backupset

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const stampLayout = "20060102_150405"

var stampPattern = regexp.MustCompile(`^[0-9]{8}_[0-9]{6}$`)

// ID names a set: the UTC second at which its run began, "YYYYMMDD_HHMMSS". It sorts by time.
type ID string

// NewID makes the id of a run that began at t.
func NewID(t time.Time) ID { return ID(t.UTC().Format(stampLayout)) }

// ParseID reads an id. Anything but "YYYYMMDD_HHMMSS" of a real date is an error.
func ParseID(s string) (ID, error) {
	if !stampPattern.MatchString(s) {
		return "", fmt.Errorf("parse set id %q: want YYYYMMDD_HHMMSS", s)
	}
	if _, err := time.Parse(stampLayout, s); err != nil {
		return "", fmt.Errorf("parse set id %q: %w", s, err)
	}
	return ID(s), nil
}

// UnmarshalText refuses anything that is no id, so that what comes in from a history or a manifest can be part of a path. Empty is
// allowed: a field may be absent.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ""
		return nil
	}
	parsed, err := ParseID(string(text))
	*id = parsed
	return err
}

// Time returns the second that the id stands for, the zero time for a malformed id.
func (id ID) Time() time.Time {
	t, err := time.Parse(stampLayout, string(id))
	if err != nil {
		return time.Time{}
	}
	return t
}

// Codec is how a dump is compressed.
type Codec string

// The codecs, and the words of the COMPRESSION setting.
const (
	Gzip Codec = "gzip"
	Zstd Codec = "zstd"
)

// Suffix is the end of a dump's file name: ".sql.gz" or ".sql.zst", empty for an unknown codec.
func (c Codec) Suffix() string {
	switch c {
	case Gzip:
		return ".sql.gz"
	case Zstd:
		return ".sql.zst"
	default:
		return ""
	}
}

// Encryption is how a file is encrypted, after compression. Empty: not at all.
type Encryption string

// The ways to encrypt, and the words of the ENCRYPTION setting.
const (
	Unencrypted Encryption = ""
	Age         Encryption = "age" // age-encryption.org/v1
	GPG         Encryption = "gpg" // OpenPGP, RFC 4880
)

// Suffix is the end that encryption adds to a file's name: ".age" or ".gpg", empty without.
func (e Encryption) Suffix() string {
	if e == Unencrypted {
		return ""
	}
	return "." + string(e)
}

// DumpName is the file name of a database's dump: "<database>_<stamp>.sql.gz[.age]". Bytes that are unsafe in a file name, an
// object key or a shell line are percent-encoded, so that different databases never share a name.
func DumpName(database string, id ID, codec Codec, encryption Encryption) string {
	return escape(database) + "_" + string(id) + codec.Suffix() + encryption.Suffix()
}

// IdentitiesName is the file name of a set's node identities: "identities_<stamp>.json[.age]".
func IdentitiesName(id ID, encryption Encryption) string {
	return "identities_" + string(id) + ".json" + encryption.Suffix()
}

// ManifestName is the file name of a set's manifest. Its presence seals the set.
func ManifestName(id ID) string { return "backup_" + string(id) + ".json" }

// IntentName is the file name under which a store holds a copy of the manifest while the set's files come or go: what an
// interrupted upload or deletion left can be told from foreign files by it.
func IntentName(id ID) string { return "open_" + string(id) + ".json" }

// DrillName is the file name of a drill's record. It begins with the set's id, so that it goes when the set goes.
func DrillName(set, drill ID) string { return "drill_" + string(set) + "_" + string(drill) + ".json" }

// PinName is the file name of a set's pin. It lies beside the manifest, and goes when the set goes.
func PinName(id ID) string { return "pin_" + string(id) + ".json" }

// ParsePinName returns the id of the set that a pin's file name speaks of.
func ParsePinName(name string) (ID, bool) { return parseName(name, "pin_") }

// ParseDrillName returns the ids of the set and of the drill.
func ParseDrillName(name string) (set, drill ID, ok bool) {
	rest, ok := strings.CutPrefix(name, "drill_")
	if !ok || len(rest) < len(stampLayout)+1 || rest[len(stampLayout)] != '_' {
		return "", "", false
	}
	set, err := ParseID(rest[:len(stampLayout)])
	drill, ok = parseName(rest[len(stampLayout)+1:], "")
	return set, drill, ok && err == nil
}

// ParseManifestName returns the id of a manifest's file name.
func ParseManifestName(name string) (ID, bool) { return parseName(name, "backup_") }

// ParseIntentName returns the id of an intent's file name.
func ParseIntentName(name string) (ID, bool) { return parseName(name, "open_") }

func parseName(name, prefix string) (ID, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return "", false
	}
	rest, ok = strings.CutSuffix(rest, ".json")
	if !ok {
		return "", false
	}
	id, err := ParseID(rest)
	return id, err == nil
}

func escape(database string) string {
	// QueryEscape leaves letters, digits and "-_.~"; a space becomes "+", which some tools read back as a space.
	return strings.ReplaceAll(url.QueryEscape(database), "+", "%20")
}
