package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The words of psql, pg_dump and libpq, as they were seen, and what they mean to us.
func TestClassify(t *testing.T) {
	for words, want := range map[string]error{
		`psql: error: connection to server at "127.0.0.1", port 5432 failed: FATAL:  password authentication failed for user "cnadmin"`:  ErrAuth,
		`psql: error: connection to server at "127.0.0.1", port 5432 failed: fe_sendauth: no password supplied`:                          ErrAuth,
		`FATAL:  no pg_hba.conf entry for host "172.18.0.5", user "x", database "y", no encryption`:                                      ErrAuth,
		`psql: error: connection to server at "127.0.0.1", port 5432 failed: FATAL:  role "cnadmin" does not exist`:                      ErrAuth,
		`psql: error: connection to server at "127.0.0.1", port 5432 failed: FATAL:  database "participant-5" does not exist`:            ErrNoDatabase,
		`connection to server at "127.0.0.1", port 5432 failed: Connection refused`:                                                      ErrUnreachable,
		`FATAL:  the database system is starting up`:                                                                                     ErrUnreachable,
		`FATAL:  sorry, too many clients already`:                                                                                        ErrUnreachable,
		"pg_dump: error: Dumping the contents of table \"x\" failed: PQgetCopyData() failed.\nserver closed the connection unexpectedly": ErrUnreachable,
		`pg_dump: error: query failed: FATAL:  terminating connection due to administrator command`:                                      ErrUnreachable,
		`pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout`:                                                  ErrLocked,
		`pg_dump: error: could not write to output file: No space left on device`:                                                        ErrNoSpace,
		`ERROR:  relation "participant.nothing" does not exist`:                                                                          nil,
		`pg_dump: warning: there are circular foreign-key constraints on this table`:                                                     nil,
	} {
		t.Run(words, func(t *testing.T) {
			require.Equal(t, want, classify(words))
			err := failure("dump", words, errors.New("exit code 1"))
			require.ErrorContains(t, err, strings.TrimSpace(words))
			if want != nil {
				require.ErrorIs(t, err, want)
			}
		})
	}
}

func TestLiteral(t *testing.T) {
	for text, want := range map[string]string{`plain`: `'plain'`, `it's`: `'it''s'`, `a\b'c`: ` E'a\\b''c'`, ``: `''`} {
		require.Equal(t, want, Literal(text))
	}
}

func TestWindow_KeepsTheEnd(t *testing.T) {
	for _, piece := range []int{1, 3, 7, 100} {
		w := &window{size: 8}
		text := strings.Repeat("0123456789", 10) + "the end!"
		for rest := text; rest != ""; rest = rest[min(piece, len(rest)):] {
			n, err := w.Write([]byte(rest[:min(piece, len(rest))]))
			require.NoError(t, err)
			require.Equal(t, min(piece, len(rest)), n)
		}
		require.Equal(t, "the end!", string(w.data))
	}
}
