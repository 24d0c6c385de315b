package identities_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"canton-backup/internal/identities"
)

const fingerprint = "1220" + "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

const ownID = "PAR::testbed-validator-1::" + fingerprint

// canary stands in every key of the tests: it must turn up nowhere.
const canary = "canary-private-key"

// document is a dump as the app writes it, with each part open to a test's hand.
type document map[string]any

func key(name, content string) map[string]any {
	return map[string]any{"keyPair": base64.StdEncoding.EncodeToString([]byte(content)), "name": name}
}

func whole() document {
	return document{
		"id": ownID, "version": "0.7.0", "authorizedStoreSnapshot": base64.StdEncoding.EncodeToString([]byte("topology")),
		"keys": []map[string]any{key("namespace", canary+"-n"), key("signing", canary+"-s"), key("encryption", canary+"-e")},
	}
}

func (d document) with(field string, value any) document {
	d[field] = value
	return d
}

func (d document) bytes(t require.TestingT) []byte {
	raw, err := json.Marshal(d)
	require.NoError(t, err)
	return raw
}

func keys(list ...map[string]any) []map[string]any { return list }

func TestParse_Whole(t *testing.T) {
	n, s, e := key("namespace", "n"), key("signing", "s"), key("encryption", "e")
	for name, c := range map[string]struct {
		doc  document
		keys []string
	}{
		"as it comes":      {whole(), []string{"encryption", "namespace", "signing"}},
		"no version":       {whole().with("version", nil), []string{"encryption", "namespace", "signing"}},
		"unknown field":    {whole().with("users", []string{}), []string{"encryption", "namespace", "signing"}},
		"rotated":          {whole().with("keys", keys(n, key("signing-rotated-2026", "s"), e)), []string{"encryption", "namespace", "signing-rotated-2026"}},
		"a key more":       {whole().with("keys", keys(n, s, e, map[string]any{"keyPair": "AAAA"})), []string{"", "encryption", "namespace", "signing"}},
		"dots in the name": {whole().with("id", "PAR::a.b-c_1::"+fingerprint), []string{"encryption", "namespace", "signing"}},
		"keys in a KMS": {whole().with("keys", keys(n, map[string]any{"type": "signing", "keyId": "arn:1", "name": "signing"},
			map[string]any{"type": "encryption", "keyId": "arn:2", "name": "encryption"})), []string{"encryption", "namespace", "signing"}},
	} {
		t.Run(name, func(t *testing.T) {
			raw := append(c.doc.bytes(t), " \r\n"...)
			d, err := identities.Parse(raw)
			require.NoError(t, err)
			require.Equal(t, c.doc["id"], d.ID)
			require.Equal(t, c.keys, d.Keys)
			require.Equal(t, raw, d.Reveal(), "kept byte for byte")
		})
	}
}

// Every way in which an answer is no dump of a participant is refused by name, and the text shows nothing of it.
func TestParse_Refuses(t *testing.T) {
	n, s, e := key("namespace", canary), key("signing", canary), key("encryption", canary)
	raw := map[string]string{
		"empty": "", "page": "<html>" + canary, "half": string(whole().bytes(t)[:200]), "two": string(whole().bytes(t)) + "{}",
		"list": `["` + canary + `"]`, "null": "null", "number for id": `{"id":4711}`, "keys no list": `{"id":"` + ownID + `","keys":"` + canary + `"}`,
	}
	for name, doc := range map[string]document{
		"no id":               whole().with("id", ""),
		"a party":             whole().with("id", "testbed-validator-1::"+fingerprint),
		"a mediator":          whole().with("id", "MED::testbed::"+fingerprint),
		"id without name":     whole().with("id", "PAR::::"+fingerprint),
		"short fingerprint":   whole().with("id", "PAR::x::1220"+canary),
		"no keys":             whole().with("keys", nil),
		"two keys":            whole().with("keys", keys(n, s)),
		"no encryption":       whole().with("keys", keys(n, s, s)),
		"no namespace":        whole().with("keys", keys(key("namespaces", "x"), s, e)),
		"empty key":           whole().with("keys", keys(n, s, key("encryption", ""))),
		"not base64":          whole().with("keys", keys(n, s, map[string]any{"keyPair": canary, "name": "encryption"})),
		"base64 with a break": whole().with("keys", keys(n, s, map[string]any{"keyPair": "AAAA\nAAAA", "name": "encryption"})),
		"loose base64":        whole().with("keys", keys(n, s, map[string]any{"keyPair": "AB==", "name": "encryption"})),
		"pair and KMS":        whole().with("keys", keys(n, s, map[string]any{"keyPair": "AAAA", "keyId": "x", "type": "signing", "name": "encryption"})),
		"KMS of what":         whole().with("keys", keys(n, s, map[string]any{"keyId": "x", "name": "encryption"})),
		"no snapshot":         whole().with("authorizedStoreSnapshot", ""),
		"snapshot not base64": whole().with("authorizedStoreSnapshot", canary),
	} {
		raw[name] = string(doc.bytes(t))
	}
	for name, text := range raw {
		t.Run(name, func(t *testing.T) {
			d, err := identities.Parse([]byte(text))
			require.ErrorIs(t, err, identities.ErrMalformed)
			require.Nil(t, d)
			require.NotContains(t, err.Error(), "canary")
		})
	}
}

func TestDump_Belongs(t *testing.T) {
	d, err := identities.Parse(whole().bytes(t))
	require.NoError(t, err)
	require.NoError(t, d.Belongs(ownID))
	for _, other := range []string{"", "PAR::testbed-validator-2::" + fingerprint, strings.ToLower(ownID), ownID + " "} {
		require.ErrorIs(t, d.Belongs(other), identities.ErrOtherNode, "%q", other)
	}
}

func TestName(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/identities.md")
	require.NoError(t, err)
	for sentinel, name := range map[error]string{
		identities.ErrUnreachable: "IdentitiesUnreachable", identities.ErrDenied: "IdentitiesDenied",
		identities.ErrMalformed: "IdentitiesMalformed", identities.ErrOtherNode: "IdentitiesOtherNode",
	} {
		require.Equal(t, name, identities.Name(fmt.Errorf("fetch identities: %w: x", sentinel)))
		require.Contains(t, string(page), "\n| `"+name+"` |", "the page says what to do")
	}
	require.Empty(t, identities.Name(context.Canceled))
	require.Empty(t, identities.Name(nil))
}

// A dump that lands in a log, an error or Temporal's history must not take its keys there.
func TestDump_NeverPrints(t *testing.T) {
	d, err := identities.Parse(whole().bytes(t))
	require.NoError(t, err)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		fmt.Fprintf(&out, verb+verb, d, *d)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "dump", d)
	encoded, err := json.Marshal(d)
	require.NoError(t, err)
	out.Write(encoded)
	for _, tell := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))[:16], "keyPair", fmt.Sprintf("%x", "keyPair")} {
		require.NotContains(t, out.String(), tell)
	}
	require.Contains(t, string(encoded), d.KeyDigest)
}

// The digest follows names and keys, whatever their order, and nothing else.
func TestFacts_KeyDigest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digest := func(doc document) string {
			d, err := identities.Parse(doc.bytes(t))
			require.NoError(t, err)
			return d.KeyDigest
		}
		list := keys(key("namespace", "n"), key("signing", "s"), key("encryption", "e"))
		for i := range rapid.IntRange(0, 4).Draw(t, "more") {
			list = append(list, key("signing", fmt.Sprint("rotated ", i)))
		}
		before := digest(whole().with("keys", list))

		seed := rapid.Uint64().Draw(t, "seed")
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		require.Equal(t, before, digest(whole().with("keys", list)))
		require.Equal(t, before, digest(whole().with("keys", list).with("version", "0.7.1")))
		require.NotEqual(t, before, digest(whole().with("keys", append(list, key("signing", "new")))))

		at := rapid.IntRange(0, len(list)-1).Draw(t, "at")
		list[at] = key(list[at]["name"].(string), "another")
		require.NotEqual(t, before, digest(whole().with("keys", list)))
	})
}
