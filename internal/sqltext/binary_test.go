package sqltext_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/sqltext"
)

func TestColumnsOf(t *testing.T) {
	for _, row := range []struct {
		types []string
		worth bool
	}{
		{[]string{"int4", "bytea", "varchar", "int8", "bool", "text", "int2", "jsonb"}, true},
		{[]string{"bytea"}, true},
		{[]string{"int4", "text"}, false},            // text is as long in both formats
		{[]string{"bytea", "timestamptz"}, false},    // for the server to read
		{[]string{"bytea", ""}, false},               // somebody's own type
		{[]string{"bytea", "_int4"}, false},          // arrays as well
		{nil, false},                                 // no columns
		{[]string{"bytea", "bpchar", "int4"}, false}, // padded
	} {
		_, worth := sqltext.ColumnsOf(row.types)
		require.Equal(t, row.worth, worth, "%v", row.types)
	}
}

// The expected bytes are those that PostgreSQL 15 writes: COPY (SELECT 1::int4, '\x00ff'::bytea, ...) TO STDOUT (FORMAT binary).
func TestColumns_Append(t *testing.T) {
	for _, row := range []struct {
		types []string
		text  string
		want  string // hexadecimal, a space between the fields
	}{
		{[]string{"bytea"}, `\\x` + "\n", "0001 00000000"},
		{[]string{"bytea"}, `\\x00ff` + "\n", "0001 0000000200ff"},
		{[]string{"bytea"}, `\\x00ff` + "\n" + `\N` + "\n", "0001 0000000200ff 0001 ffffffff"},
		{[]string{"bytea", "int2", "int4", "int8"}, `\N` + "\t-2\t3\t-9223372036854775808\n", "0004 ffffffff 00000002fffe 0000000400000003 000000088000000000000000"},
		{[]string{"bool", "bytea", "bool"}, "t\t\\N\tf\n", "0003 0000000101 ffffffff 0000000100"},
		{[]string{"text", "bytea"}, `a\tb\\N\n\r\b\f\vé` + "\t\\N\n", "0002 0000000c" + hex.EncodeToString([]byte("a\tb\\N\n\r\b\f\vé")) + " ffffffff"},
		{[]string{"varchar", "bytea"}, "\t\\N\n", "0002 00000000 ffffffff"},
		{[]string{"jsonb", "bytea"}, `{"a": "\\n"}` + "\t\\N\n", "0002 0000000c01" + hex.EncodeToString([]byte(`{"a": "\n"}`)) + " ffffffff"},
	} {
		columns, ok := sqltext.ColumnsOf(row.types)
		require.True(t, ok)
		got, ok := columns.Append([]byte("kept"), []byte(row.text))
		require.True(t, ok, "%q", row.text)
		want, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(row.want), []byte(" "), nil)))
		require.NoError(t, err)
		require.Equal(t, append([]byte("kept"), want...), got, "%q", row.text)
	}
}

// What has another shape than the server writes is not guessed at.
func TestColumns_AppendRefuses(t *testing.T) {
	types := []string{"bytea", "int4", "bool", "text"}
	columns, _ := sqltext.ColumnsOf(types)
	good := "\\\\x00\t1\tt\tx\n"
	_, ok := columns.Append(nil, []byte(good))
	require.True(t, ok)
	for _, text := range []string{
		"\\\\000\t1\tt\tx\n",          // bytea_output = escape
		"\\\\x0\t1\tt\tx\n",           // half a byte
		"\\\\x0g\t1\tt\tx\n",          // no digit
		"\\\\x00\t\tt\tx\n",           // no number
		"\\\\x00\t2147483648\tt\tx\n", // too large
		"\\\\x00\t1.0\tt\tx\n",
		"\\\\x00\t1\ttrue\tx\n",
		"\\\\x00\t1\tt\t\\x41\n", // an escape that COPY reads and never writes
		"\\\\x00\t1\tt\tx\\\n",
		"\\\\x00\t1\tt\n",       // too few
		"\\\\x00\t1\tt\tx\ty\n", // too many
		"\\\\x00\t1\tt\tx",      // no end
	} {
		_, ok := columns.Append(nil, []byte(good+text))
		require.False(t, ok, "%q", text)
	}
}
