package store

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest object name, in bytes. A partial file adds owner and tag to it and must stay below the 255 bytes
// that file systems allow.
const MaxName = 150

// PartialMark begins the partial names of all owners.
const PartialMark = ".canton-backup."

const (
	maxOwner      = 60
	partialSuffix = ".partial"
)

// CheckName says why name cannot be an object's name, or nil. Control characters are refused because listings of S3 servers
// cannot carry them.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("check name: name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("check name %q: longer than %d bytes", name, MaxName)
	case name[0] == '.':
		return fmt.Errorf("check name %q: begins with a dot", name)
	case strings.ContainsRune(name, '/'):
		return fmt.Errorf("check name %q: holds a slash", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("check name %q: not UTF-8", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("check name %q: holds a control character", name)
	}
	return nil
}

// CheckOwner says why owner (the node's name) cannot mark partial files, or nil.
func CheckOwner(owner string) error {
	if owner == "" {
		return fmt.Errorf("check owner: owner is empty")
	}
	if len(escapeOwner(owner)) > maxOwner {
		return fmt.Errorf("check owner %q: longer than %d bytes after escaping", owner, maxOwner)
	}
	return nil
}

// PartialName is the name of an unfinished object. It begins with a dot, so no final name is like it. The tag (letters and
// digits) tells attempts or contents apart.
func PartialName(owner, tag, name string) string {
	return PartialPrefix(owner) + tag + "." + name + partialSuffix
}

// PartialPrefix begins the partial names of one owner and of no other: dots in the owner are escaped, otherwise the prefix
// of node "a" would also match the partial files of node "a.b".
func PartialPrefix(owner string) string { return PartialMark + escapeOwner(owner) + "." }

// IsPartialOf reports whether name is an unfinished object of owner.
func IsPartialOf(owner, name string) bool {
	return strings.HasPrefix(name, PartialPrefix(owner)) && strings.HasSuffix(name, partialSuffix)
}

func escapeOwner(owner string) string {
	var b strings.Builder
	for i := 0; i < len(owner); i++ {
		c := owner[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
