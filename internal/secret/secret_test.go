package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/secret"
)

func TestString_NeverPrints(t *testing.T) {
	const canary = "canary-4711"
	s := secret.New(canary)
	holder := struct {
		Key secret.String
		Ptr *secret.String
		own secret.String
	}{s, &s, s}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", holder)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", s, "holder", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", s, "holder", holder)
	encoded, err := json.Marshal(holder)
	require.NoError(t, err)
	out.Write(encoded)
	fmt.Fprintln(&out, fmt.Errorf("open %v", s))

	require.NotContains(t, out.String(), canary)
	require.NotContains(t, out.String(), fmt.Sprintf("%x", canary))
	require.Equal(t, canary, s.Reveal())
	require.Empty(t, secret.String{}.String())
}
