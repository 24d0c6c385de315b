package testbed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// Token is an admin's bearer token, signed (HS256) with the secret: "unsafe" for a node without auth, AuthSecret for one with.
func Token(secret string) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(`{"iat":1700000000,"aud":"`+Audience+`","sub":"`+Admin+`"}`))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}
