package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"canton-backup/internal/secret"
)

// Library sends alerts by mail and to any other service that shoutrrr knows, by its URL for that service.
type Library struct{ URL secret.String }

var _ Notifier = Library{}

// hangPause is how long a service that hangs is left alone: each try leaves a connection behind, for the library cannot be interrupted.
const hangPause = time.Minute

// HangError: the service took the connection and says nothing. Whoever tries again does so seldom, and not for ever. It wraps the *RetryError
// that asks for the pause.
type HangError struct{}

func (e *HangError) Error() string { return fmt.Sprintf("no answer within %s", sendLimit) }

// Unwrap gives the pause.
func (e *HangError) Unwrap() error { return &RetryError{After: hangPause} }

// Notify implements Notifier.
func (l Library) Notify(ctx context.Context, a Alert) error {
	limit := time.NewTimer(sendLimit)
	defer limit.Stop()
	done := make(chan error, 1)
	go func() { done <- l.send(a) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done(): // the worker stops
		return fmt.Errorf("send alert: %w", ctx.Err())
	case <-limit.C:
		return fmt.Errorf("send alert: %w", &HangError{})
	}
}

func (l Library) send(a Alert) (err error) {
	defer func() {
		if r := recover(); r != nil { // a defect of a messenger must not end the worker
			err = errors.New("send alert: the library panicked") // as it does in places when the line is down
		}
	}()
	service, err := l.open()
	var line *net.OpError // some services log in first
	if errors.As(err, &line) {
		return errors.New("send alert: " + l.text(err))
	}
	if err != nil {
		return fmt.Errorf("send alert: %w: %s; check NOTIFY_URLS", ErrRejected, l.text(err))
	}
	params := types.Params{}
	if l.scheme() == "smtp" {
		params["subject"] = a.Headline()
	}
	if err := service.Send(a.Text(), &params); err != nil {
		var mail *textproto.Error
		if errors.As(err, &mail) && mail.Code >= 500 {
			return fmt.Errorf("send alert: %w: %s; check NOTIFY_URLS", ErrRejected, l.text(err))
		}
		return errors.New("send alert: " + l.text(err))
	}
	return nil
}

// open makes the service of the address, as the library's own router does, which drops what is wrong with the address.
func (l Library) open() (types.Service, error) {
	u, err := url.Parse(l.URL.Reveal())
	if err != nil {
		return nil, err
	}
	scheme, custom, isCustom := strings.Cut(u.Scheme, "+")
	service, err := (&router.ServiceRouter{}).NewService(scheme)
	if err != nil {
		return nil, err
	}
	if isCustom {
		own, can := service.(types.CustomURLService)
		if !can {
			return nil, fmt.Errorf("%s takes no address of %s", scheme, custom)
		}
		if u, err = own.GetConfigURLFromCustom(u); err != nil {
			return nil, err
		}
	}
	return service, service.Initialize(u, nil)
}

func (l Library) scheme() string {
	scheme, _, _ := strings.Cut(l.URL.Reveal(), "://")
	return strings.ToLower(scheme)
}

// text is an error of the library without anything of its address but scheme and host. The library takes addresses apart and puts them
// together anew, so each word of it is looked for, not only the whole.
func (l Library) text(err error) string {
	var withURL *url.Error // its text is the whole address
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	text := oneLine(truncate(err.Error(), causeLimit))
	u, parseErr := url.Parse(l.URL.Reveal())
	if parseErr != nil {
		return "its address is malformed"
	}
	words := addressWords(l.URL.Reveal())
	if !hostIsPublic(l.scheme()) {
		words = append(words, u.Host, u.Hostname())
	}
	for _, w := range words[:len(words):len(words)] {
		words = append(words, strings.FieldsFunc(w, func(r rune) bool { return strings.ContainsRune("-:/@,&=;", r) })...)
	}
	return clean(text, append([]string{l.URL.Reveal()}, words...))
}

// hostIsPublic: in the library's addresses of these services the host is a host. In others a token or an account stands there.
func hostIsPublic(scheme string) bool {
	scheme, _, _ = strings.Cut(scheme, "+")
	switch scheme {
	case "http", "https", "smtp", "generic", "ntfy", "gotify", "matrix", "mattermost", "rocketchat", "zulip", "signal", "bark", "opsgenie", "pagerduty":
		return true
	}
	return false
}
