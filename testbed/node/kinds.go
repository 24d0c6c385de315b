package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
)

// kind is what the bulk of a node's data looks like to a compressor.
type kind string

const (
	kindText   kind = "text"   // JSON and names that repeat, as views and contracts of a store have them
	kindHex    kind = "hex"    // bytea of structured messages, about half of them hashes and signatures
	kindRandom kind = "random" // bytea that does not compress
)

// share is how much of a fill is of a kind.
type share struct {
	kind    kind
	percent int64
}

// mixture is what a participant holds: gzip makes 0.42 of it, as it did of a database with a participant's tables and rows (0.43).
var mixture = []share{{kindText, 10}, {kindHex, 40}, {kindRandom, 50}}

// sharesOf reads the flag's word.
func sharesOf(word string) ([]share, error) {
	for _, m := range mixture {
		if string(m.kind) == word {
			return []share{{m.kind, 100}}, nil
		}
	}
	if word == "mixed" {
		return mixture, nil
	}
	return nil, fmt.Errorf("read kind of data: %q is none of text, hex, random, mixed", word)
}

// messageBytes is the least length of a structured message. A participant's events are some KB each.
const messageBytes = 3 << 10

// writer makes the data of one fill. The same seed gives the same data.
type writer struct {
	source    *rand.ChaCha8
	choice    *rand.Rand
	parties   []string
	packages  []string
	templates []string
}

func newWriter(source *rand.ChaCha8) *writer {
	w := &writer{source: source, choice: rand.New(source)}
	for i := range 200 {
		w.parties = append(w.parties, fmt.Sprintf("wallet-user-%d::1220%s", i, hex.EncodeToString(w.bytes(32))))
	}
	for range 12 {
		w.packages = append(w.packages, hex.EncodeToString(w.bytes(32)))
	}
	for _, module := range []string{"Splice.Amulet", "Splice.Wallet", "Splice.AmuletRules", "Splice.ValidatorLicense"} {
		for _, entity := range []string{"Amulet", "LockedAmulet", "TransferOffer", "ValidatorRight", "AppRewardCoupon"} {
			w.templates = append(w.templates, module+":"+entity)
		}
	}
	return w
}

// bytes are n random bytes.
func (w *writer) bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = w.source.Read(b) // never fails
	return b
}

func (w *writer) one(of []string) string { return of[w.choice.IntN(len(of))] }

// document is a contract's arguments as PostgreSQL prints its jsonb, so that its length is the length in a dump.
func (w *writer) document() string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"dso": %q, "owner": %q, "amount": {"createdAt": {"number": "%d"}, "ratePerRound": {"rate": "0.0000190259"}, "initialAmount": "%d.%010d"}, `,
		w.parties[0], w.one(w.parties), 20_000+w.choice.IntN(500), w.choice.IntN(100_000), w.choice.Int64N(10_000_000_000))
	fmt.Fprintf(&b, `"validator": %q, "featuredAppRight": null}`, w.one(w.parties))
	return b.String()
}

// message is a piece of a ledger as Protocol Buffers write it: names that repeat, small numbers, hashes and signatures.
func (w *writer) message() []byte {
	var b []byte
	field := func(number byte, value []byte) {
		b = append(b, number<<3|2)
		b = binary.AppendUvarint(b, uint64(len(value)))
		b = append(b, value...)
	}
	number := func(field byte, value uint64) {
		b = append(b, field<<3)
		b = binary.AppendUvarint(b, value)
	}
	for len(b) < messageBytes {
		field(1, []byte(w.one(w.parties)))
		field(2, []byte(w.one(w.packages)))
		field(3, []byte(w.one(w.templates)))
		number(4, w.choice.Uint64N(300))
		number(5, 1_700_000_000_000_000+w.choice.Uint64N(1_000_000_000))
		field(6, append([]byte{0x12, 0x20}, w.bytes(32)...)) // a hash
		field(7, append([]byte{0x00}, w.bytes(32)...))       // a contract's id
		field(8, append([]byte{0x30, 0x45, 0x02, 0x21}, w.bytes(64)...))
		number(9, w.choice.Uint64N(2))
	}
	return b
}

// blob is bytea of a kind; of text it is small.
func (w *writer) blob(k kind, random int) []byte {
	switch k {
	case kindText:
		return w.bytes(16)
	case kindHex:
		return w.message()
	default:
		return w.bytes(random)
	}
}

// copied is the length of a row in a dump.
func copied(row []any) int64 {
	size := len(row) // tabs and the newline
	for _, value := range row {
		switch v := value.(type) {
		case []byte:
			size += len(`\\x`) + 2*len(v)
		case string:
			size += len(v)
		default:
			size += len(fmt.Sprint(v))
		}
	}
	return int64(size)
}
