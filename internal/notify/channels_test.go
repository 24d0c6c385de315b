package notify_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/config"
	"canton-backup/internal/notify"
	"canton-backup/internal/secret"
)

const (
	canary = "CanaryAbcDef123456789"
	uuid   = "11111111-4444-4444-8444-cccccccccccc"
	hex32  = "33333333012222222222333333333344"
)

// TestMain leads what would leave this host to a proxy that is not there.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		if err := os.Setenv(name, "http://127.0.0.1:1"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// service stands for the HTTP side of Slack, Discord, PagerDuty or an operator's webhook, which no test can have: it answers as it is told to,
// and keeps what it got.
type service struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []map[string]any
	paths  []string
	answer http.HandlerFunc
}

func newService(t *testing.T, answer http.HandlerFunc) *service {
	t.Helper()
	s := &service{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		var m map[string]any
		_ = json.Unmarshal(data, &m) // what is no JSON is seen in the assertions
		s.mu.Lock()
		s.bodies, s.paths = append(s.bodies, m), append(s.paths, r.URL.RequestURI())
		s.mu.Unlock()
		s.answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// channels are all ways of our own, each to that address, with a canary wherever a secret stands.
func channels(address string) map[string]notify.Notifier {
	return map[string]notify.Notifier{
		"telegram":  notify.Telegram{API: address, Token: secret.New("1:" + canary), ChatID: "-1"},
		"slack":     notify.Slack{URL: secret.New(address + "/services/T0/B0/" + canary)},
		"discord":   notify.Discord{URL: secret.New(address + "/api/webhooks/1/" + canary)},
		"pagerduty": notify.PagerDuty{API: address, Key: secret.New(canary)},
		"webhook":   notify.Webhook{URL: secret.New(strings.Replace(address, "http://", "http://user:"+canary+"@", 1) + "/hook/" + canary + "?key=" + canary)},
	}
}

func nasty() notify.Alert {
	a := alert()
	a.Key = "Backup/Upload/AuthDenied"
	a.Cause = "database <b>\"x\"</b> & `y` ``` @everyone <!channel>\nsecond line"
	return a
}

func TestChannels_Deliver(t *testing.T) {
	for name, want := range map[string]func(t *testing.T, body map[string]any){
		"slack": func(t *testing.T, body map[string]any) {
			text := body["text"].(string)
			require.Contains(t, text, "*Backup failed: node-1 (mainnet)*")
			require.Contains(t, text, "database &lt;b&gt;\"x\"&lt;/b&gt; &amp; `y` ''' @everyone &lt;!channel&gt;")
			require.Equal(t, 2, strings.Count(text, "```"))
		},
		"discord": func(t *testing.T, body map[string]any) {
			require.Equal(t, map[string]any{"parse": []any{}}, body["allowed_mentions"], "nobody is called")
			require.Equal(t, 2, strings.Count(body["content"].(string), "```"))
			require.Contains(t, body["content"], "second line")
		},
		"pagerduty": func(t *testing.T, body map[string]any) {
			require.Equal(t, "trigger", body["event_action"])
			require.Equal(t, canary, body["routing_key"])
			require.Equal(t, "canton-backup/node-1/Backup/Upload/AuthDenied", body["dedup_key"])
			payload := body["payload"].(map[string]any)
			require.Equal(t, "error", payload["severity"])
			require.Equal(t, "node-1", payload["source"])
			require.NotContains(t, payload["summary"], "\n")
		},
		"webhook": func(t *testing.T, body map[string]any) {
			require.Equal(t, "trigger", body["event"])
			require.Equal(t, "Backup/Upload/AuthDenied", body["key"])
			require.Equal(t, nasty().Cause, body["cause"])
			require.Contains(t, body["text"], "Do: repair the key")
		},
		"telegram": func(t *testing.T, body map[string]any) {
			require.Contains(t, body["text"], "database &lt;b&gt;")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, says(200, `{"ok":true}`))
			require.NoError(t, channels(s.URL)[name].Notify(t.Context(), nasty()))
			require.Len(t, s.bodies, 1)
			want(t, s.bodies[0])
		})
	}
}

func TestChannels_LongTextsFit(t *testing.T) {
	a := nasty()
	a.Cause = strings.Repeat("x😀", 9000)
	s := newService(t, says(200, `{"ok":true}`))
	for name, channel := range channels(s.URL) {
		require.NoError(t, channel.Notify(t.Context(), a), name)
	}
	for _, body := range s.bodies {
		if content, has := body["content"]; has {
			require.LessOrEqual(t, len([]rune(content.(string))), 2000)
		}
		if payload, has := body["payload"].(map[string]any); has {
			require.LessOrEqual(t, len([]rune(payload["summary"].(string))), 1024)
		}
	}
}

// What a receiver's answer means, and that no error shows a secret, although every receiver sends all of it back.
func TestChannels_Failures(t *testing.T) {
	const echo = canary + " user " + canary
	for name, row := range map[string]struct {
		answer  http.HandlerFunc
		retried bool
		wait    time.Duration
	}{
		"gone":         {says(404, echo), false, 0},
		"denied":       {says(401, `{"ok":false,"description":"`+echo+`","message":"`+echo+`","errors":["`+echo+`"]}`), false, 0},
		"server error": {says(503, echo), true, 0},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/"+canary, http.StatusTemporaryRedirect)
		}, false, 0},
		"too many": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
			_, _ = io.WriteString(w, `{"retry_after":7,"parameters":{"retry_after":7}}`)
		}, true, 7 * time.Second},
		"cut": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, row.answer)
			for kind, channel := range channels(s.URL) {
				err := channel.Notify(t.Context(), nasty())
				require.Error(t, err, kind)
				require.NotContains(t, err.Error(), "Canary", kind)
				if row.retried {
					require.NotErrorIs(t, err, notify.ErrRejected, kind)
				} else {
					require.ErrorIs(t, err, notify.ErrRejected, kind)
				}
				var wait *notify.RetryError
				if row.wait > 0 {
					require.ErrorAs(t, err, &wait, kind)
					require.Equal(t, row.wait, wait.After, kind)
				}
			}
			require.Len(t, s.paths, len(channels("")), "each asked once, no redirect was followed")
		})
	}
	t.Run("nobody listens, and no address at all", func(t *testing.T) {
		for _, address := range []string{"http://127.0.0.1:1", "http://bad host\x7f"} {
			for kind, channel := range channels(address) {
				err := channel.Notify(t.Context(), nasty())
				require.Error(t, err, kind)
				require.NotContains(t, err.Error(), "Canary", kind)
			}
		}
	})
}

// An incident is closed under the key under which it was opened, and a test leaves none open.
func TestPagerDuty_Closes(t *testing.T) {
	s := newService(t, says(202, `{"status":"success"}`))
	pager := notify.PagerDuty{API: s.URL, Key: secret.New(canary)}
	a := nasty()
	require.NoError(t, pager.Notify(t.Context(), a))
	a.Over = true
	require.NoError(t, pager.Notify(t.Context(), a))
	require.Equal(t, "resolve", s.bodies[1]["event_action"])
	require.Equal(t, s.bodies[0]["dedup_key"], s.bodies[1]["dedup_key"])

	require.NoError(t, pager.Notify(t.Context(), notify.Alert{Node: "n", Key: "Test", Test: true}))
	require.Equal(t, "trigger", s.bodies[2]["event_action"])
	require.Equal(t, "resolve", s.bodies[3]["event_action"])
	require.Equal(t, s.bodies[2]["dedup_key"], s.bodies[3]["dedup_key"])

	a.Key = strings.Repeat("long ", 100)
	require.NoError(t, pager.Notify(t.Context(), a))
	require.LessOrEqual(t, len(s.bodies[4]["dedup_key"].(string)), 255)
}

// mailServer stands for an SMTP server: it takes what it is told to take, and keeps the mails.
type mailServer struct {
	addr   string
	refuse string // command that it refuses for good
	mute   bool   // it takes the connection and says nothing
	mu     sync.Mutex
	mails  []string
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &mailServer{addr: listener.Addr().String()}
	done := make(chan struct{})
	t.Cleanup(func() { close(done); require.NoError(t, listener.Close()) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn, done)
		}
	}()
	return s
}

func (s *mailServer) serve(conn net.Conn, done chan struct{}) {
	defer conn.Close()
	if s.mute {
		<-done
		return
	}
	say := func(line string) { _, _ = fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 test")
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		command := lines.Text()
		switch word := strings.ToUpper(strings.SplitN(command, " ", 2)[0]); {
		case word == s.refuse:
			say("550 5.7.1 no " + command + " " + canary)
		case word == "EHLO":
			say("250-test")
			say("250 AUTH PLAIN")
		case word == "AUTH":
			say("235 ok")
		case word == "DATA":
			say("354 go on")
			var mail strings.Builder
			for lines.Scan() && lines.Text() != "." {
				mail.WriteString(lines.Text() + "\n")
			}
			s.mu.Lock()
			s.mails = append(s.mails, mail.String())
			s.mu.Unlock()
			say("250 ok")
		case word == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *mailServer) channel() notify.Channel {
	return notify.ByURL(secret.New("smtp://user:" + canary + "@" + s.addr + "/?from=backup@example.org&to=ops@example.org,night@example.org"))
}

func TestMail(t *testing.T) {
	server := newMailServer(t)
	mail := server.channel()
	require.Equal(t, "mail "+server.addr, mail.Name)
	require.NoError(t, mail.Notify(t.Context(), nasty()))
	require.Len(t, server.mails, 2, "one for each recipient")
	require.Contains(t, server.mails[0], "Subject: Backup failed: node-1 (mainnet)\n")
	require.Contains(t, server.mails[0], nasty().Cause)
	require.Contains(t, server.mails[0], "Do: repair the key")

	for command, final := range map[string]bool{"AUTH": true, "RCPT": true, "DATA": true} {
		server.refuse = command
		err := mail.Notify(t.Context(), nasty())
		require.Error(t, err, command)
		require.NotContains(t, err.Error(), "Canary", command)
		require.Equal(t, final, isRejected(err), "%s: %v", command, err)
	}
	server.refuse = ""

	gone := notify.ByURL(secret.New("smtp://user:" + canary + "@127.0.0.1:1/?from=a@example.org&to=b@example.org"))
	err := gone.Notify(t.Context(), nasty())
	require.ErrorContains(t, err, "connection refused")
	require.False(t, isRejected(err))
	require.NotContains(t, err.Error(), "Canary")
}

// A server that takes the connection and says nothing costs an alert its time limit, and no more.
func TestMail_Hangs(t *testing.T) {
	t.Parallel()
	server := newMailServer(t)
	server.mute = true
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := server.channel().Notify(ctx, nasty())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, isRejected(err), "whoever stops in the middle has learnt nothing")

	err = server.channel().Notify(t.Context(), nasty())
	var hangs *notify.HangError
	require.ErrorAs(t, err, &hangs)
	var pause *notify.RetryError
	require.ErrorAs(t, err, &pause, "each try leaves a connection behind")
	require.False(t, isRejected(err), "it may answer later")
	require.ErrorContains(t, err, "no answer within 20s")
}

func isRejected(err error) bool { return strings.Contains(err.Error(), notify.ErrRejected.Error()) }

// Every service of the library that the settings allow: when it is not reached, that is an error, and the error shows nothing of the address.
// Whatever leads outside goes to a proxy that is not there, see TestMain.
func TestLibrary_FailsAloudAndShowsNoSecret(t *testing.T) {
	const c = canary
	covered := map[string]bool{"http": true, "https": true, "pagerduty": true} // ours
	for _, address := range []string{
		"slack://hook:TCANARYAB-BCANARYAB-" + c + "abc@webhook", "discord://" + c + "@" + "123456789012345678",
		"pushover://shoutrrr:" + c + "@" + c + "/", "pushbullet://o." + c + c[:11], "gotify://127.0.0.1:1/A" + c[:14], "ntfy://user:" + c + "@127.0.0.1:1/" + c, "ifttt://" + c + "/?events=" + c,
		"join://shoutrrr:" + c + "@join/?devices=" + c, "matrix://user:" + c + "@127.0.0.1:1/?rooms=" + c, "mattermost://user@127.0.0.1:1/" + c + "/" + c,
		"rocketchat://user@127.0.0.1:1/" + c + "/" + c, "zulip://bot%40example.invalid:" + c + "@example.invalid/?stream=" + c, "opsgenie://127.0.0.1:1/" + c, "generic://127.0.0.1:1/" + c + "?$key=" + c,
		"generic+http://127.0.0.1:1/" + c + "?@authorization=" + c, "bark://:" + c + "@127.0.0.1:1", "googlechat://chat.googleapis.com/v1/spaces/" + c + "/messages?key=" + c + "&token=" + c,
		"teams://" + uuid + "@" + uuid + "/" + hex32 + "/" + uuid + "/V2" + hex32 + hex32 + "?host=x.webhook.office.com", "lark://open.larksuite.com/" + c + "?secret=" + c, "wecom://" + c, "signal://user:" + c + "@127.0.0.1:1/+15550001/+15550002",
		"notifiarr://" + c + "?channel=1", "smtp://" + c + ":" + c + "@127.0.0.1:1/?from=x@y&to=z@y",
	} {
		covered[strings.FieldsFunc(address, func(r rune) bool { return r == ':' || r == '+' })[0]] = true
		channel := notify.ByURL(secret.New(address))
		require.NotContains(t, channel.Name, "Canary", address)
		err := channel.Notify(t.Context(), nasty())
		require.Error(t, err, address)
		for _, s := range []string{c[:9], "CANARYAB", uuid, hex32[:16]} {
			require.NotContains(t, err.Error(), s, address)
		}
		require.False(t, isRejected(err), "a line that is down is tried again: %v", err)
	}
	for _, scheme := range config.NotifySchemes {
		require.True(t, covered[scheme], scheme)
	}
	for address, says := range map[string]string{
		"smtp://" + c + ":" + c + "@127.0.0.1:1/":                         "fromAddress missing",
		"smtp://" + c + ":" + c + "@127.0.0.1:1/?" + c + "=1&from=x&to=y": "not a valid",
		"nonsense://" + c + ":%zz" + c:                                    "malformed",
	} {
		err := notify.ByURL(secret.New(address)).Notify(t.Context(), nasty())
		require.ErrorContains(t, err, says)
		require.ErrorIs(t, err, notify.ErrRejected)
		require.NotContains(t, err.Error(), c[:9])
	}
}

// What the settings allow is what the library has.
func TestLibrary_KnowsTheSchemesOfTheSettings(t *testing.T) {
	known := (&router.ServiceRouter{}).ListServices()
	for _, scheme := range config.NotifySchemes {
		if scheme != "http" && scheme != "https" {
			require.Contains(t, known, scheme)
		}
	}
}

func TestDistinct(t *testing.T) {
	all := notify.Distinct([]notify.Channel{
		notify.ByURL(secret.New("https://ops.example/a")), notify.ByURL(secret.New("https://ops.example/b")), notify.ByURL(secret.New("pushbullet://" + canary)),
		notify.ByURL(secret.New("pagerduty:///" + canary)),
	})
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
	}
	require.Equal(t, []string{"webhook ops.example", "webhook ops.example #2", "pushbullet", "pagerduty events.pagerduty.com"}, names)
	require.True(t, all[3].Closes)
}

func TestPing(t *testing.T) {
	s := newService(t, says(200, "OK"))
	address := secret.New(s.URL + "/" + canary + "/?x=" + canary)
	for _, suffix := range []string{"start", "", "fail"} {
		require.NoError(t, notify.Ping(t.Context(), address, suffix))
	}
	require.Equal(t, []string{"/" + canary + "/start?x=" + canary, "/" + canary + "/?x=" + canary, "/" + canary + "/fail?x=" + canary}, s.paths)

	s.answer = says(404, canary)
	err := notify.Ping(t.Context(), address, "")
	require.ErrorContains(t, err, "404")
	require.NotContains(t, err.Error(), "Canary")
	err = notify.Ping(t.Context(), secret.New("http://127.0.0.1:1/"+canary), "")
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), "Canary")
}
