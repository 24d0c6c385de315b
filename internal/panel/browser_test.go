package panel_test

import (
	"testing"

	"canton-backup/internal/testkit/browser"
	"canton-backup/internal/testkit/reports"
)

func TestPage_InABrowser(t *testing.T) {
	url := serve(t, reports.Good())
	b := browser.Start(t)
	b.Visit(url, browser.Desk).Screenshot("status-light")
	dark := browser.Desk
	dark.Dark = true
	b.Visit(url, dark).Screenshot("status-dark")
	b.Visit(url, browser.Phone).Screenshot("status-phone")
}
