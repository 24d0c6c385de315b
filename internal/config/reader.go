package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/viper"

	"canton-backup/internal/secret"
)

// reader turns texts into settings and collects every problem on the way.
type reader struct {
	viper    *viper.Viper
	home     string
	hostname string
	problems []Problem
	warnings []string
}

func (r *reader) text(name, fallback string) string {
	if value := strings.TrimSpace(r.viper.GetString(name)); value != "" {
		return value
	}
	return fallback
}

func (r *reader) required(name, fix string) string {
	value := r.text(name, "")
	if value == "" {
		r.missing(name, fix)
	}
	return value
}

func (r *reader) secret(name, fix string) secret.String { return secret.New(r.required(name, fix)) }

func (r *reader) matching(name, fallback string, pattern *regexp.Regexp, fix string) string {
	value := r.text(name, fallback)
	if value != "" && !pattern.MatchString(value) {
		r.bad(name, value, "has characters that names cannot have", fix)
	}
	return value
}

func (r *reader) oneOf(name, fallback string, words ...string) string {
	value := strings.ToLower(r.text(name, fallback))
	if !slices.Contains(words, value) {
		r.bad(name, value, "is not known", "use "+strings.Join(words, " or "))
		return fallback
	}
	return value
}

func (r *reader) truth(name string, fallback bool) bool {
	switch raw := strings.ToLower(r.text(name, "")); raw {
	case "":
		return fallback
	case "true", "yes", "on", "1":
		return true
	case "false", "no", "off", "0":
		return false
	default:
		r.bad(name, raw, "is neither yes nor no", "use true or false")
		return fallback
	}
}

// list splits a value at its commas. Items that begin with ~/ are paths of the operator's home.
func (r *reader) list(name string) []string {
	var items []string
	for _, item := range strings.Split(r.text(name, ""), ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, r.expand(item))
		}
	}
	return items
}

func (r *reader) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		return filepath.Join(r.home, rest)
	}
	return path
}

func (r *reader) number(name string, fallback, low, high int) int {
	raw := r.text(name, "")
	if raw == "" {
		return fallback
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < low || n > high {
		r.bad(name, raw, "is not a whole number in range", fmt.Sprintf("use %d to %d", low, high))
		return fallback
	}
	return n
}

// choice is a number of a few.
func (r *reader) choice(name string, fallback int, of []int) int {
	n := r.number(name, fallback, slices.Min(of), slices.Max(of))
	if !slices.Contains(of, n) {
		r.bad(name, strconv.Itoa(n), "is none of those to choose from", "use one of "+strings.Trim(fmt.Sprint(of), "[]"))
		return fallback
	}
	return n
}

// rate reads bytes a second, 0 for none.
func (r *reader) rate(name string) int64 {
	raw := r.text(name, "0")
	n, err := humanize.ParseBytes(raw)
	if err != nil || n > 0 && n < 1024 || n > 1<<40 {
		r.bad(name, raw, "is no rate in bytes a second", "use a number like 500K or 10M, at least 1KiB, or 0 for no limit")
		return 0
	}
	return int64(n)
}

func (r *reader) duration(name string, fallback time.Duration) time.Duration {
	raw := r.text(name, "")
	if raw == "" {
		return fallback
	}
	d, err := time.ParseDuration(raw)
	if err != nil || d < time.Minute || d > 7*24*time.Hour {
		r.bad(name, raw, "is no interval", "use 1m to 168h, e.g. 4h")
		return fallback
	}
	return d
}

// interval is a duration that "off" makes 0.
func (r *reader) interval(name string, fallback time.Duration) time.Duration {
	if strings.EqualFold(r.text(name, ""), "off") {
		return 0
	}
	raw := r.text(name, fallback.String())
	d, err := time.ParseDuration(raw)
	if err != nil || d < time.Minute || d > 90*24*time.Hour {
		r.bad(name, raw, "is no interval", "use 1m to 2160h, e.g. 168h, or off")
		return fallback
	}
	return d
}

func (r *reader) path(name, fallback string) string {
	raw := r.text(name, fallback)
	if raw == "" {
		return ""
	}
	raw = r.expand(raw)
	if !filepath.IsAbs(raw) {
		r.bad(name, raw, "is not an absolute path", "begin it with / or ~/")
	}
	return filepath.Clean(raw)
}

func (r *reader) absolute(name string, files []string) {
	for _, file := range files {
		if !filepath.IsAbs(file) {
			r.bad(name, file, "is not an absolute path", "begin it with / or ~/")
		}
	}
}

// address complains of an endpoint that is none.
func (r *reader) address(name, value string) {
	if _, ok := webAddress(value); !ok {
		r.bad(name, redactUser(value), "is no http(s) address", "set https://host or http://host:port, without credentials")
	}
}

// webAddress reads an address that may be asked: http or https, with a host, without credentials and fragment.
func webAddress(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	return u, err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.User == nil && u.Fragment == ""
}

// misplaced stands for a value that is not shown: it stands where a line's neighbour is a secret, and may be that secret.
const misplaced = "[not shown]"

func (r *reader) missing(name, fix string) {
	r.problems = append(r.problems, Problem{Key: name, Cause: "is not set", Fix: fix})
}

func (r *reader) bad(name, value, cause, fix string) {
	r.problems = append(r.problems, Problem{Key: name, Value: value, Cause: cause, Fix: fix})
}

func redactUser(address string) string {
	if at := strings.LastIndex(address, "@"); at >= 0 {
		return "[redacted]" + address[at:]
	}
	return address
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
