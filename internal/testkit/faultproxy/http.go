package faultproxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// Rule answers a request in the server's place, or returns nil to let it through.
type Rule func(r *http.Request) http.Handler

// HTTP forwards requests that no rule answers to target ("host:port"), as they are: signatures stay valid. It returns its
// own "host:port".
func HTTP(t testing.TB, target string, rule Rule) string {
	t.Helper()
	to, err := url.Parse("http://" + target)
	require.NoError(t, err)
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{DisableCompression: true},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := rule(r); answer != nil {
			answer.ServeHTTP(w, r)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// S3Error answers with status and the error document of an S3 server.
func S3Error(status int, code string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Answering before the body was read would close the connection under the client's hands.
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = w.Write([]byte(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code +
				`</Code><Message>made by the fault proxy</Message><RequestId>1</RequestId></Error>`))
		}
	})
}
