package main

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// runScan plays what lies outside of the node: the network's Scan, which start.sh asks before it starts anything and which tells the age of a
// backup, and the operator's identity provider.
func runScan(ctx context.Context) error {
	mux := http.NewServeMux()
	say := func(path string, value any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { answer(w, value, nil) })
	}
	say("/api/scan/readyz", struct{}{})
	say("/api/scan/version", map[string]string{"version": env("IMAGE_TAG", "unknown")})
	say("/api/scan/v0/active-synchronizer-serial", map[string]int{"serial": synchronizerSerial})
	say("/api/scan/v0/splice-instance-names", map[string]string{
		"network_name": "Testbed", "network_favicon_url": "http://localhost/favicon.ico", "amulet_name": "Amulet", "amulet_name_acronym": "AMT",
		"name_service_name": "Amulet Name Service", "name_service_name_acronym": "ANS",
	})
	issuerFromEnv().routes(mux)
	return serve(ctx, map[string]http.Handler{":5012": mux})
}

// runNginx passes on what the bundle's reverse proxy passes on: the wallet host's API goes to the validator app.
func runNginx(ctx context.Context) error {
	backend, err := url.Parse("http://" + env("NGINX_BACKEND", "validator:5003"))
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(backend) }}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := strings.Cut(r.Host, ":")
		switch {
		case r.URL.Path == "/status":
		case host == "wallet.localhost" && strings.HasPrefix(r.URL.Path, "/api/validator/"):
			proxy.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
	return serve(ctx, map[string]http.Handler{":80": handler})
}
