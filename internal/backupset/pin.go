package backupset

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// PinFormat is the version of the pins that this program writes.
const PinFormat = 1

const maxPinReason = 500 // bytes

// Pin keeps a set from every prune, for a reason, until it is taken away. It is a JSON object of its own beside the manifest, since
// what is sealed never changes.
type Pin struct {
	Format  int       `json:"format"`
	Set     ID        `json:"set"`
	Node    string    `json:"node"` // whose pin it is: only the owner of the set pins it
	Network string    `json:"network"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// NewPin is the pin of a set by its owner. A reason that is empty, longer than 500 bytes or not of one line is refused.
func NewPin(m Manifest, reason string, at time.Time) (Pin, error) {
	p := Pin{Format: PinFormat, Set: m.Set, Node: m.Node, Network: m.Network, Reason: strings.TrimSpace(reason), At: at.UTC().Truncate(time.Second)}
	return p, p.validate()
}

// Of reports whether the pin is that of the set, by the node that sealed it.
func (p Pin) Of(m Manifest) bool { return p.Set == m.Set && p.Node == m.Node && p.Network == m.Network }

// DecodePin reads a pin. ErrNewerFormat when it is of a later version.
func DecodePin(data []byte) (Pin, error) {
	var p Pin
	if err := json.Unmarshal(data, &p); err != nil {
		return Pin{}, fmt.Errorf("decode pin: %w", err)
	}
	if p.Format > PinFormat {
		return Pin{}, fmt.Errorf("decode pin: %w: %d, this program reads up to %d", ErrNewerFormat, p.Format, PinFormat)
	}
	if err := p.validate(); err != nil {
		return Pin{}, fmt.Errorf("decode pin: %w", err)
	}
	return p, nil
}

func (p Pin) validate() error {
	switch {
	case p.Format < 1 || p.Set == "" || p.Node == "":
		return errors.New("format, set or node is missing")
	case p.Reason == "":
		return errors.New("reason is missing")
	case len(p.Reason) > maxPinReason:
		return fmt.Errorf("reason has %d bytes, more than %d", len(p.Reason), maxPinReason)
	case strings.ContainsFunc(p.Reason, unicode.IsControl):
		return errors.New("reason has a line break or another control character")
	}
	return nil
}
