package config

import (
	"slices"
	"strings"

	"canton-backup/internal/backupset"
	"canton-backup/internal/secret"
)

func (r *reader) encryption() Encryption {
	e := Encryption{Required: r.truth("REQUIRE_ENCRYPTION", false), Key: r.text("DECRYPTION_KEY", ""), IdentitiesTo: r.list("IDENTITIES_RECIPIENTS")}
	if e.Key != "" && e.Key != agentWord {
		e.Key = r.path("DECRYPTION_KEY", "")
	}
	switch method := r.oneOf("ENCRYPTION", "none", "none", "age", "gpg"); method {
	case "age":
		e.Method = backupset.Age
		if e.AgeRecipients = r.list("AGE_RECIPIENTS"); len(e.AgeRecipients) == 0 {
			r.missing("AGE_RECIPIENTS", "make a key pair on another host (age-keygen -o key.txt), keep it there, and set its public key: age1…")
		}
	case "gpg":
		e.Method = backupset.GPG
		if e.GPGPublicKeys = r.list("GPG_PUBLIC_KEYS"); len(e.GPGPublicKeys) == 0 {
			r.missing("GPG_PUBLIC_KEYS", "export the public key to a file (gpg --export --armor KEY > backup.asc), and set its path")
		}
		r.absolute("GPG_PUBLIC_KEYS", e.GPGPublicKeys)
		r.absolute("IDENTITIES_RECIPIENTS", e.IdentitiesTo)
	default:
		if r.text("ENCRYPTION", "") == "" && len(r.list("AGE_RECIPIENTS"))+len(r.list("GPG_PUBLIC_KEYS")) > 0 { // whoever set keys expects them to be used
			r.missing("ENCRYPTION", "public keys are set: say age or gpg, or none if plain sets are meant")
		}
		if len(e.IdentitiesTo) > 0 { // they would be stored in plain text, against what was asked for
			r.bad("IDENTITIES_RECIPIENTS", misplaced, "ENCRYPTION is none", "set ENCRYPTION=age or gpg, or leave IDENTITIES_RECIPIENTS out")
		}
		if e.Required {
			r.bad("REQUIRE_ENCRYPTION", "true", "ENCRYPTION is none: there would be no backup at all", "set ENCRYPTION=age or gpg")
		}
	}
	if slices.ContainsFunc(slices.Concat(e.IdentitiesTo, e.AgeRecipients), func(text string) bool { return strings.Contains(strings.ToUpper(text), "SECRET-KEY") }) {
		r.bad("AGE_RECIPIENTS or IDENTITIES_RECIPIENTS", misplaced, "a private key stands there", "set the public key (age-keygen -y), and take the private one off this host")
		e.AgeRecipients, e.IdentitiesTo = nil, nil
	}
	return e
}

// agentWord in DECRYPTION_KEY stands for a key that gpg holds, not for a file.
const agentWord = "gpg-agent"

func (r *reader) identities() Identities {
	if r.oneOf("IDENTITIES", "on", "on", "off") == "off" {
		return Identities{Off: true}
	}
	s := Identities{
		URL: strings.TrimSuffix(r.text("IDENTITIES_URL", ""), "/"), ClientID: r.text("IDENTITIES_CLIENT_ID", ""),
		ClientSecret: secret.New(r.text("IDENTITIES_CLIENT_SECRET", "")), TokenURL: r.text("IDENTITIES_TOKEN_URL", ""),
		Audience: r.text("IDENTITIES_AUDIENCE", ""), Scope: r.text("IDENTITIES_SCOPE", ""), User: r.text("IDENTITIES_USER", ""),
	}
	if u, ok := webAddress(s.URL); s.URL != "" && (!ok || u.Path != "" || u.RawQuery != "") {
		r.bad("IDENTITIES_URL", redactUser(s.URL), "is no http(s) address of a host", "set http://host or http://host:port, without credentials and path")
	}
	if _, ok := webAddress(s.TokenURL); s.TokenURL != "" && !ok {
		r.bad("IDENTITIES_TOKEN_URL", misplaced, "is no http(s) address", "copy token_endpoint from your provider's openid-configuration")
	}
	switch {
	case s.ClientID != "" && s.ClientSecret.Empty():
		r.missing("IDENTITIES_CLIENT_SECRET", "set the client's secret, or leave IDENTITIES_CLIENT_ID out too")
	case s.ClientID == "" && !s.ClientSecret.Empty():
		r.missing("IDENTITIES_CLIENT_ID", "set the client's id, or leave IDENTITIES_CLIENT_SECRET out too")
	}
	return s
}
