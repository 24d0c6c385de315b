package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"canton-backup/internal/secret"
)

// sendLimit bounds one message on one channel.
const sendLimit = 20 * time.Second

// answer is what a receiver said.
type answer struct {
	status int
	line   string // "404 Not Found"
	body   []byte
	after  time.Duration // of its Retry-After header, 0 without one
}

// post sends body as JSON. Its errors show none of the secrets, which stand in addresses and come back in answers.
func post(ctx context.Context, address string, body any, secrets ...string) (answer, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return answer{}, fmt.Errorf("send alert: %w", err)
	}
	return do(ctx, http.MethodPost, address, data, append(secrets, addressWords(address)...))
}

// do asks once, follows no redirect, which would carry an address that is a secret to somebody else, and keeps no connection.
func do(ctx context.Context, method, address string, body []byte, secrets []string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("%w: the address is malformed", ErrRejected) // err would show it
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: sendLimit, MaxResponseHeaderBytes: 64 << 10}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		var withURL *url.Error // its text is the whole address
		if errors.As(err, &withURL) {
			err = withURL.Err
		}
		return answer{}, errors.New(clean(err.Error(), secrets))
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return answer{}, errors.New(clean(err.Error(), secrets))
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // a date there is rare, and then a pause of our own does
	return answer{status: response.StatusCode, line: clean(response.Status, secrets), body: []byte(clean(string(data), secrets)), after: time.Duration(seconds) * time.Second}, nil
}

// judge turns an answer into what Notify returns. detail is what the receiver says of its refusal, fix what the operator does about one
// that is final.
func (a answer) judge(detail, fix string) error {
	said := a.line
	if detail = oneLine(truncate(detail, fieldLimit)); detail != "" {
		said += ": " + detail
	}
	switch {
	case a.status >= 200 && a.status < 300:
		return nil
	case a.status == http.StatusTooManyRequests:
		return fmt.Errorf("send alert: %w", &RetryError{After: max(time.Second, a.after)})
	case a.status >= 300 && a.status < 500 && a.status != http.StatusRequestTimeout:
		return fmt.Errorf("send alert: %w: %s; check %s", ErrRejected, said, fix)
	default:
		return fmt.Errorf("send alert: %s", said)
	}
}

// clean takes secrets out of a text that comes from outside. The shortest words of an address are left: they are no secret, and without
// them nothing could be read.
func clean(text string, secrets []string) string {
	longest := slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) }) // a short one may be part of another
	for _, s := range longest {
		for _, form := range []string{s, url.PathEscape(s), url.QueryEscape(s)} {
			if len(form) > 4 {
				text = strings.ReplaceAll(text, form, secret.New(form).String())
			}
		}
	}
	return text
}

// addressWords are the parts of a web address that may be secret: all but scheme and host.
func addressWords(address string) []string {
	u, err := url.Parse(address)
	if err != nil {
		return []string{address}
	}
	return append(strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' }), queryWords(u)...)
}

// queryWords are the user, the password, and the values of a query.
func queryWords(u *url.URL) []string {
	words := []string{u.User.Username(), u.RawQuery, u.Fragment}
	if password, has := u.User.Password(); has {
		words = append(words, password)
	}
	for _, values := range u.Query() {
		words = append(words, values...)
	}
	return words
}
