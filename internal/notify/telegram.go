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

const sendLimit = 20 * time.Second

// Notify implements Notifier.
func (t Telegram) Notify(ctx context.Context, a Alert) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	body, err := json.Marshal(map[string]any{"chat_id": t.ChatID, "text": a.HTML(), "parse_mode": "HTML", "link_preview_options": map[string]bool{"is_disabled": true}})
	if err != nil {
		return fmt.Errorf("send alert: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.API+"/bot"+t.Token.Reveal()+"/sendMessage", bytes.NewReader(body))
	if err != nil {
		return errors.New("send alert: the Bot API's address is malformed") // err would show the token
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		// The token is part of the address, and the address of the error's text.
		var withURL *url.Error
		if errors.As(err, &withURL) {
			err = withURL.Err
		}
		return fmt.Errorf("send alert: %s", t.clean(err.Error()))
	}
	defer response.Body.Close()
	var answer struct {
		OK          bool   `json:"ok"`
		Description string `json:"description"`
		Parameters  struct {
			RetryAfter int `json:"retry_after"` // seconds
		} `json:"parameters"`
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("send alert: %s", t.clean(err.Error()))
	}
	decodeErr := json.Unmarshal(data, &answer)
	switch {
	case response.StatusCode == http.StatusOK && decodeErr == nil && answer.OK:
		return nil
	case response.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("send alert: %w", &RetryError{After: time.Duration(max(1, answer.Parameters.RetryAfter)) * time.Second})
	case response.StatusCode >= 400 && response.StatusCode < 500:
		return fmt.Errorf("send alert: %w: %s: %s; check TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID", ErrRejected, response.Status, t.clean(answer.Description))
	default:
		return fmt.Errorf("send alert: %s: %s", response.Status, t.clean(answer.Description))
	}
}

func (t Telegram) clean(text string) string {
	if t.Token.Empty() {
		return text
	}
	return strings.ReplaceAll(text, t.Token.Reveal(), t.Token.String())
}
