package config

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// Health is where the worker serves the status page and the metrics.
type Health struct {
	Address string // host:port; empty: nowhere
	UI      string // web UI of the Temporal cluster, no slash at its end; empty: not known
}

var listenPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

func (r *reader) health() Health {
	h := Health{Address: r.text("HEALTH_ADDRESS", "127.0.0.1:8234"), UI: strings.TrimRight(r.text("TEMPORAL_UI_URL", ""), "/")}
	if u, ok := webAddress(h.UI); h.UI != "" && (!ok || u.RawQuery != "") {
		r.bad("TEMPORAL_UI_URL", redactUser(h.UI), "is no http(s) address", "set https://host or http://host:port, without credentials")
		h.UI = ""
	}
	if strings.EqualFold(h.Address, "off") {
		h.Address = ""
		return h
	}
	host, port, err := net.SplitHostPort(h.Address)
	number, portErr := strconv.Atoi(port)
	if err != nil || portErr != nil || number < 1 || number > 65535 || net.ParseIP(host) == nil && !listenPattern.MatchString(host) {
		r.bad("HEALTH_ADDRESS", h.Address, "is not host:port", "set 127.0.0.1:8234, another address and port of this host, or off")
		h.Address = ""
		return h
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		r.warnings = append(r.warnings, fmt.Sprintf("HEALTH_ADDRESS=%s is not loopback: whoever reaches it reads names and sizes of this node's sets, without a password", h.Address))
	}
	return h
}
