package identities

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An app that takes the question and never ends its answer is one that does not answer.
func TestFetch_Mute(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("{"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	_, err := fetchWithin(t.Context(), Source{Base: server.URL}, 50*time.Millisecond)
	require.ErrorIs(t, err, ErrUnreachable)
	require.ErrorContains(t, err, "50ms")
}

// A provider that is asked by https must not send the client's secret out in the clear.
func TestDiscover_Downgrade(t *testing.T) {
	endpoint := "https://id.example.com/token"
	idp := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"token_endpoint":"` + endpoint + `"}`))
	}))
	t.Cleanup(idp.Close)
	got, err := discover(t.Context(), idp.Client(), idp.URL)
	require.NoError(t, err)
	require.Equal(t, endpoint, got)
	endpoint = "http://id.example.com/token"
	_, err = discover(t.Context(), idp.Client(), idp.URL)
	require.ErrorIs(t, err, ErrMalformed)
}
