package identities

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

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
