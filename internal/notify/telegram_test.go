package notify_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/notify"
	"canton-backup/internal/secret"
)

const token = "123456:canary-token"

// botAPI stands for Telegram's Bot API, which no test can have: it answers as its documentation says and records what it got.
func botAPI(t *testing.T, status int, answer string) (notify.Telegram, *[]map[string]any) {
	t.Helper()
	var got []map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/bot"+token+"/sendMessage" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		var m map[string]any
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		got = append(got, m)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return notify.Telegram{API: server.URL, Token: secret.New(token), ChatID: "-100"}, &got
}

func alert() notify.Alert {
	return notify.Alert{Node: "node-1", Network: "mainnet", Step: "Upload", Cause: "ssh: Permission denied (publickey)", Next: "repair the key", Set: "20261123_040000", Run: "backup-node-1"}
}

func TestTelegram_Delivers(t *testing.T) {
	bot, got := botAPI(t, 200, `{"ok":true,"result":{}}`)
	a := alert()
	a.Cause = `a <b>bold & "bad"</b> error`
	require.NoError(t, bot.Notify(t.Context(), a))
	require.Len(t, *got, 1)
	text := (*got)[0]["text"].(string)
	require.Equal(t, "HTML", (*got)[0]["parse_mode"])
	require.Equal(t, "-100", (*got)[0]["chat_id"])
	require.Contains(t, text, "a &lt;b&gt;bold &amp; &#34;bad&#34;&lt;/b&gt; error")
	require.Contains(t, text, "<b>Backup failed: node-1 (mainnet)</b>")
	require.Contains(t, text, "Last good set:</b> unknown")
}

func TestTelegram_Failures(t *testing.T) {
	t.Run("429 says how long to wait", func(t *testing.T) {
		bot, _ := botAPI(t, 429, `{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":17}}`)
		var wait *notify.RetryError
		require.ErrorAs(t, bot.Notify(t.Context(), alert()), &wait)
		require.Equal(t, 17*time.Second, wait.After)
	})
	t.Run("dead token is final", func(t *testing.T) {
		bot, _ := botAPI(t, 401, `{"ok":false,"error_code":401,"description":"Unauthorized `+token+`"}`)
		err := bot.Notify(t.Context(), alert())
		require.ErrorIs(t, err, notify.ErrRejected)
		require.NotContains(t, err.Error(), "canary")
	})
	t.Run("server error may pass", func(t *testing.T) {
		bot, _ := botAPI(t, 502, `<html>bad gateway</html>`)
		err := bot.Notify(t.Context(), alert())
		require.Error(t, err)
		require.NotErrorIs(t, err, notify.ErrRejected)
	})
	t.Run("200 that is no answer", func(t *testing.T) {
		bot, _ := botAPI(t, 200, `{"ok":false}`)
		require.Error(t, bot.Notify(t.Context(), alert()))
	})
	t.Run("no connection: the error hides the token", func(t *testing.T) {
		bot := notify.Telegram{API: "http://127.0.0.1:1", Token: secret.New(token), ChatID: "1"}
		err := bot.Notify(t.Context(), alert())
		require.Error(t, err)
		require.NotContains(t, err.Error(), "canary")
	})
	t.Run("malformed address: the error hides the token", func(t *testing.T) {
		bot := notify.Telegram{API: "http://bad host\x7f", Token: secret.New(token), ChatID: "1"}
		err := bot.Notify(t.Context(), alert())
		require.Error(t, err)
		require.NotContains(t, err.Error(), "canary")
	})
}

func TestAlert_StaysUnderTheLimit(t *testing.T) {
	for name, flood := range map[string]string{"ascii": "x", "angle": "<", "astral": "😀", "bad utf8": "a\xff"} {
		t.Run(name, func(t *testing.T) {
			a := alert()
			long := strings.Repeat(flood, 20000)
			a.Node, a.Network, a.Step, a.Cause, a.Next, a.Run = long, long, long, long, long, long
			text := a.HTML()
			// What counts is the text after Telegram has parsed tags and entities.
			parsed := strings.NewReplacer("<b>", "", "</b>", "", "<pre>", "", "</pre>", "", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text)
			require.LessOrEqual(t, len(utf16.Encode([]rune(parsed))), 4096)
			require.Contains(t, text, "…")
		})
	}
}
