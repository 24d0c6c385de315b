// Package secret holds values that must never be printed.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// String is a credential. Every way of printing it (fmt, slog, JSON, text) shows "[redacted]", or nothing when it is
// empty; only Reveal gives the value, so that a search for Reveal finds every place where a secret leaves our hands.
//
// The value lies behind a pointer because fmt does not call the methods of unexported fields: it would print a plain
// string there, and prints an address instead.
type String struct{ value *string }

// New makes a secret of value.
func New(value string) String { return String{value: &value} }

// Reveal returns the value itself. Hand it straight to the API that needs it.
func (s String) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty reports whether there is no value.
func (s String) Empty() bool { return s.Reveal() == "" }

// String implements fmt.Stringer.
func (s String) String() string {
	if s.Empty() {
		return ""
	}
	return redacted
}

// Format implements fmt.Formatter, so that no verb (%d, %x, %#v) reaches the value.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText covers JSON, YAML and text encoders.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
