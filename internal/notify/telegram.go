package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"canton-backup/internal/secret"
)

// Telegram sends alerts through the Bot API (core.telegram.org/bots/api#sendmessage).
type Telegram struct {
	API    string // https://api.telegram.org, without a slash at its end
	Token  secret.String
	ChatID string
}

var _ Notifier = Telegram{}

// Notify implements Notifier.
func (t Telegram) Notify(ctx context.Context, a Alert) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	body := map[string]any{"chat_id": t.ChatID, "text": a.HTML(), "parse_mode": "HTML", "link_preview_options": map[string]bool{"is_disabled": true}}
	_, key, _ := strings.Cut(t.Token.Reveal(), ":") // what stands before it is the bot's number
	got, err := post(ctx, t.API+"/bot"+t.Token.Reveal()+"/sendMessage", body, t.Token.Reveal(), key)
	if err != nil {
		return fmt.Errorf("send alert: %w", err)
	}
	var said struct {
		OK          bool   `json:"ok"`
		Description string `json:"description"`
		Parameters  struct {
			RetryAfter int `json:"retry_after"` // seconds
		} `json:"parameters"`
	}
	decodeErr := json.Unmarshal(got.body, &said)
	got.after = max(got.after, time.Duration(said.Parameters.RetryAfter)*time.Second)
	if got.status == http.StatusOK && (decodeErr != nil || !said.OK) {
		return errors.New("send alert: 200 OK, and not the Bot API's answer")
	}
	return got.judge(said.Description, "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID")
}
