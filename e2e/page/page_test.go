// Package page_test looks at the status page in a real browser.
package page_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/health"
	"canton-backup/internal/panel"
	"canton-backup/internal/testkit/browser"
	"canton-backup/internal/testkit/reports"
)

// serve serves the panel with that report at a port of loopback and returns its address.
func serve(t *testing.T, r health.Report) string {
	t.Helper()
	s, err := panel.Serve(panel.Options{Address: "127.0.0.1:0", Metrics: http.NotFoundHandler(),
		Report: func(context.Context) health.Report { return r }, Now: func() time.Time { return reports.Now.Add(5 * time.Second) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s.URL
}

// What people see, kept as pictures: TEST_ARTEFACTS, else .tools/artefacts.
func TestPage_InABrowser(t *testing.T) {
	b := browser.Start(t)
	dark, still, darkPhone := browser.Desk, browser.Desk, browser.Phone
	dark.Dark, still.NoScripts, darkPhone.Dark = true, true, true
	for _, c := range []struct {
		name   string
		report health.Report
		look   browser.Look
		word   string
	}{
		{"good-light", reports.Good(), browser.Desk, "Yes"},
		{"good-dark", reports.Good(), dark, "Yes"},
		{"good-phone", reports.Good(), browser.Phone, "Yes"},
		{"good-no-scripts", reports.Good(), still, "Yes"},
		{"bad-light", reports.Bad(), browser.Desk, "Yes"},
		{"bad-dark", reports.Bad(), dark, "Yes"},
		{"bad-phone", reports.Bad(), darkPhone, "Yes"},
		{"young-light", health.Judge(health.Report{At: reports.Now, Node: "validator-1", Network: "devnet", Worker: health.Running, Places: []health.Place{{Name: "local"}}}), browser.Desk, "No"},
		{"first-light", health.Report{}, browser.Desk, "Not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := serve(t, c.report)
			page := b.Visit(t, url, c.look)
			require.Contains(t, browser.Eval[string](page, `document.querySelector("h1").innerText`), c.word)
			require.Empty(t, page.Elsewhere(url), "the page asks nobody else")
			require.Zero(t, browser.Eval[int](page, `document.scripts.length`))
			browser.Eval[int](page, `[...document.querySelectorAll("details")].map(d => d.open = true).length`)
			require.LessOrEqual(t, browser.Eval[int](page, `document.documentElement.scrollWidth`), browser.Eval[int](page, `window.innerWidth`), "the page does not scroll sideways")
			require.Empty(t, browser.Eval[[]string](page, cutScript), "texts that are cut off")
			browser.Eval[int](page, `[...document.querySelectorAll("details")].slice(1).map(d => d.open = false).length`) // the picture shows one
			styled := browser.Eval[string](page, `getComputedStyle(document.querySelector(".answer")).borderLeftWidth`)
			require.Equal(t, "6px", styled, "the policy lets the page's own style through")
			require.Equal(t, c.look.Dark, strings.HasPrefix(browser.Eval[string](page, `getComputedStyle(document.body).backgroundColor`), "rgb(16"), "light and dark")
			require.Empty(t, browser.Eval[[]string](page, contrastScript), "texts that are hard to read")
			require.Empty(t, browser.Eval[[]string](page, namesScript), "what a screen reader needs")
			page.Screenshot("status-" + c.name)
		})
	}
}

// cutScript lists boxes that are narrower than what is in them. Tables may scroll in theirs.
const cutScript = `[...document.querySelectorAll(".answer, .problems, .problems li, .tiles, .tile, .card, .paths li" + (innerWidth < 720 ? ", .box, .cards tbody tr" : ""))].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.className + " " + e.innerText.slice(0, 60))`

// contrastScript lists texts whose colour stands out too little from what is behind them: WCAG AA wants 4.5:1, 3:1 for large ones.
const contrastScript = `(() => {
	const parse = c => c.match(/[\d.]+/g).map(Number);
	const light = c => { const [r, g, b] = parse(c).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; const p = parse(c); if (p.length < 4 || p[3] === 1) return c; } return "rgb(255, 255, 255)"; };
	const bad = [];
	for (const e of document.querySelectorAll("body *")) {
		if (e.closest("svg") || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length) continue;
		const s = getComputedStyle(e), a = light(s.color), b = light(behind(e)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		const size = parseFloat(s.fontSize), large = size >= 24 || size >= 18.66 && s.fontWeight >= 700;
		if (ratio < (large ? 3 : 4.5)) bad.push(e.className + " " + e.textContent.trim().slice(0, 40) + " " + ratio.toFixed(2));
	}
	return bad;
})()`

// namesScript lists what has no name or no place in the page's order: headings that skip a level, tables without scopes, pictures
// without texts, ids that stand twice or are not there.
const namesScript = `(() => {
	const bad = [];
	let last = 0;
	for (const h of document.querySelectorAll("h1, h2, h3, h4")) { const level = +h.tagName[1]; if (level > last + 1) bad.push("heading " + h.innerText); last = level; }
	if (document.querySelectorAll("h1").length !== 1) bad.push("not one h1");
	for (const th of document.querySelectorAll("th:not([scope])")) bad.push("th " + th.innerText);
	for (const svg of document.querySelectorAll("svg")) if (svg.getAttribute("role") !== "img" || !svg.getAttribute("aria-label") && !svg.getAttribute("aria-labelledby")) bad.push("svg without a name");
	for (const e of document.querySelectorAll("[aria-labelledby]")) for (const id of e.getAttribute("aria-labelledby").split(" ")) if (!document.getElementById(id)) bad.push("no " + id);
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	for (const id of ids) if (ids.filter(i => i === id).length > 1) bad.push("twice " + id);
	for (const a of document.querySelectorAll("a")) if (!a.innerText.trim() && !a.getAttribute("aria-label")) bad.push("link without a text");
	if (!document.documentElement.lang) bad.push("no language");
	return bad;
})()`

// Texts of others stay texts, wherever a report carries them: no element, no attribute, no link comes of one, and the page holds its shape.
func TestPage_HostileTexts(t *testing.T) {
	b := browser.Start(t)
	for name, text := range map[string]string{
		"elements":  `"'><script id=evil>document.title="evil"</script><img id=evil src=x onerror='document.title="evil"'></title></style></table></svg><h1 id=evil>`,
		"link":      "javascript:document.title='evil'",
		"template":  `{{.Node}} {{template "badge" .}}`,
		"direction": "\u202etxet\u2066 \u0000\ufffd\x1b[31m",
		"endless":   strings.Repeat("Ünbreakäble", 100),
	} {
		t.Run(name, func(t *testing.T) {
			report := reports.Hostile(text)
			for _, look := range []browser.Look{browser.Desk, browser.Phone} {
				url := serve(t, report)
				page := b.Visit(t, url, look)
				require.NotEqual(t, "evil", browser.Eval[string](page, `document.title`))
				require.Zero(t, browser.Eval[int](page, `document.querySelectorAll("#evil, script, img, iframe, object, form").length`))
				require.Zero(t, browser.Eval[int](page, `[...document.links].filter(a => a.protocol !== "http:" && a.protocol !== "https:").length`))
				require.Zero(t, browser.Eval[int](page, `[...document.querySelectorAll("*")].filter(e => [...e.attributes].some(a => a.name.startsWith("on") || a.name === "style")).length`))
				require.Equal(t, 1, browser.Eval[int](page, `document.querySelectorAll("h1").length`))
				browser.Eval[int](page, `[...document.querySelectorAll("details")].map(d => d.open = true).length`)
				require.LessOrEqual(t, browser.Eval[int](page, `document.documentElement.scrollWidth`), browser.Eval[int](page, `window.innerWidth`))
				require.Empty(t, browser.Eval[[]string](page, cutScript))
				require.Empty(t, page.Elsewhere(url))
				if name == "elements" {
					quoted, err := json.Marshal(text)
					require.NoError(t, err)
					require.Greater(t, browser.Eval[int](page, `document.body.textContent.split(`+string(quoted)+`).length`), 60, "the texts are shown as they are")
				}
				if look == browser.Phone {
					page.Screenshot("status-hostile-" + name)
				}
			}
		})
	}
}
