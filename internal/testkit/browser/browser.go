// Package browser shows pages to tests in a real browser: Debian's chromium.
package browser

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/testkit/child"
)

// patience is for a machine that does ten other things.
const patience = 10 * time.Minute

// Browser is a running browser without windows.
type Browser struct {
	ctx context.Context
}

// Look is how a page is looked at.
type Look struct {
	Width, Height int64
	Dark          bool // the reader prefers dark pages
	Phone         bool // touch, and the page's own idea of the viewport
	NoScripts     bool
}

// Looks that people have.
var (
	Desk  = Look{Width: 1280, Height: 900}
	Phone = Look{Width: 360, Height: 800, Phone: true}
)

// Page is a page that has been loaded.
type Page struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	requests []string
}

// Start starts a browser with a profile of its own; it ends with the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	home := t.TempDir()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(child.Find(t, "chromium", "make tools")),
		chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "LANG=C.UTF-8"),
		chromedp.Flag("no-sandbox", os.Geteuid() == 0), // the sandbox needs a user that is not root
		chromedp.DisableGPU)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	ctx, cancelBrowser := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it writes to its profile until it ends
		cancelBrowser()
		cancelAllocator()
		cancel()
	})
	require.NoError(t, chromedp.Do(ctx), "start chromium")
	return &Browser{ctx: ctx}
}

// Visit loads the address in a new tab and waits until it is there.
func (b *Browser) Visit(t testing.TB, address string, look Look) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	p := &Page{t: t, ctx: ctx}
	scheme := "light"
	if look.Dark {
		scheme = "dark"
	}
	call(p, network.Enable, network.EnableParams{})
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		if sent, ok := event.(*network.EventRequestWillBeSent); ok {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.requests = append(p.requests, sent.Request.URL)
		}
	}))
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: look.Width, Height: look.Height, DeviceScaleFactor: 1, Mobile: look.Phone})
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	call(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: look.NoScripts})
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(address)), "visit %s", address)
	return p
}

func call[P, R any](p *Page, command cdp.Command[P, R], params P) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, command, params)
	require.NoError(p.t, err, command.Method)
}

// Elsewhere are the addresses that the page asked for, other than of its own origin.
func (p *Page) Elsewhere(own string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	home, err := url.Parse(own)
	require.NoError(p.t, err)
	require.NotEmpty(p.t, p.requests, "the page itself was asked for")
	var others []string
	for _, address := range p.requests {
		if u, err := url.Parse(address); err != nil || u.Host != home.Host || u.Scheme != home.Scheme {
			others = append(others, address)
		}
	}
	return others
}

// Eval runs JavaScript in the page and returns its value. It works on a page whose own scripts are off.
func Eval[T any](p *Page, script string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script))
	require.NoError(p.t, err, script)
	return value
}

// Screenshot keeps a picture of the whole page once it stands still, under that name, in the folder of TEST_ARTEFACTS, else in .tools/artefacts of the
// repository.
func (p *Page) Screenshot(name string) {
	p.t.Helper()
	var png []byte
	require.Eventually(p.t, func() bool {
		before := png
		var err error
		png, err = chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
		return err == nil && bytes.Equal(before, png)
	}, patience/4, time.Second, "the page stands still")
	folder := os.Getenv("TEST_ARTEFACTS")
	if folder == "" {
		_, here, _, _ := runtime.Caller(0)
		folder = filepath.Join(filepath.Dir(here), "..", "..", "..", ".tools", "artefacts")
	}
	require.NoError(p.t, os.MkdirAll(folder, 0o755))
	require.NoError(p.t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644))
}

// Until waits until the JavaScript expression is true in the page.
func (p *Page) Until(expression string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		value, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		return err == nil && value // while another page loads, there is none to ask
	}, patience/4, 100*time.Millisecond, expression)
}

// Click clicks the element that the JavaScript expression gives, in this tab.
func (p *Page) Click(expression string) {
	p.t.Helper()
	Eval[bool](p, "(e => { e.removeAttribute('target'); e.click(); return true })("+expression+")")
}
