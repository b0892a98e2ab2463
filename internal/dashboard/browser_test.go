package dashboard_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	httpdoor "github.com/glassq/glassq/internal/door/http"
)

// browse starts a browser, which ends with the test. Only the whole of it has a time limit.
func browse(t *testing.T) context.Context {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium: apt-get install chromium")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		// Else a key that comes before a page is first drawn, which takes long beside busy processes, is dropped.
		chromedp.Flag("allow-pre-commit-input", true))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		chromedp.Cancel(ctx) // waits for the browser
		cancel()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

func do(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// until waits until an expression is true on the page, which stays the same one.
func until(expression string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](`new Promise(done => { const look = () => (`+expression+
		`) ? done(1) : setTimeout(look, 20); look() })`, chromedp.EvalAwaitPromise)
}

// tell is the value of an expression on the page.
func tell[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// press presses a key on the first element that fits, once it has the focus. A mouse would miss what
// a page that is brought up to date moves between the look and the press; what has the focus stays.
func press(sel, key string) chromedp.Action[chromedp.Void] {
	focus := until(fmt.Sprintf(`(e => { e?.focus(); return !!e && document.activeElement === e })(document.querySelector(%q))`, sel))
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for {
			_, err := focus(ctx, t)
			if err == nil {
				_, err = chromedp.KeyEvent(key)(ctx, t)
				return err
			}
			if ctx.Err() != nil { // else the page before has just gone
				return err
			}
		}
	})
}

// first runs a script on each page before its own.
func first(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument,
			page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	})
}

// still leaves pages as they were loaded: they hear nothing new, also not that their session is over.
var still = first(`window.fetch = () => new Promise(() => {})`)

const enter = "\r"

const hasText = `document.body.innerText.includes(%q)`

var manyDead = flag.Int("dead", 50_000, "dead tasks beside which a browser is used")

// TestBrowserAsAPerson logs in and uses pages and actions by their forms, and sees changes without
// loading again.
func TestBrowserAsAPerson(t *testing.T) {
	for _, much := range []bool{false, true} {
		t.Run(fmt.Sprint("beside much=", much), func(t *testing.T) {
			s := newSite(t, func(o *httpdoor.Options) { o.Access = door.NewAccess([]byte("the key")) })
			s.fill()
			if much {
				s.busy(*manyDead)
			}
			asAPerson(t, s)
		})
	}
}

// busy makes 1,000 more queues and that many dead tasks, and has 20,000 tasks a second pass until the
// test ends.
func (s *site) busy(dead int) {
	s.t.Helper()
	var tasks []glassq.Task
	for i := range 1000 {
		tasks = append(tasks, glassq.Task{Queue: fmt.Sprint("many.", i)})
	}
	if _, err := s.broker.Put(s.t.Context(), tasks); err != nil {
		s.t.Fatal(err)
	}
	for left := dead; left > 0; left -= glassq.MaxBatch {
		s.kill(min(left, glassq.MaxBatch), "refused", "", 0)
	}
	const batch = 100
	pass := func(ctx context.Context) error {
		if _, err := s.broker.Put(ctx, slices.Repeat([]glassq.Task{{Queue: "busy", Body: []byte("x")}}, batch)); err != nil {
			return err
		}
		leases, err := s.broker.Reserve(ctx, glassq.Reserve{Queue: "busy", Max: batch})
		acks := make([]glassq.Ack, len(leases))
		for i := range leases {
			acks[i].Token = leases[i].Token()
		}
		if err == nil {
			_, err = s.broker.Ack(ctx, acks)
		}
		return err
	}
	var passing sync.WaitGroup
	ctx, stop := context.WithCancel(s.t.Context())
	passing.Go(func() {
		each := time.NewTicker(batch * time.Second / 20_000)
		defer each.Stop()
		for {
			select {
			case <-each.C:
			case <-ctx.Done():
				return
			}
			if err := pass(ctx); err != nil && ctx.Err() == nil {
				s.t.Errorf("tasks that pass: %v", err)
				return
			}
		}
	})
	s.t.Cleanup(func() { stop(); passing.Wait() })
}

func asAPerson(t *testing.T, s *site) {
	ctx := browse(t)
	do(t, ctx, "log in", chromedp.Navigate(s.url+"/queues/work"), chromedp.WaitVisible(`input[name=key]`),
		chromedp.SendKeys(`input[name=key]`, "the key\r"), chromedp.WaitVisible(`form[action$="/pause"] button`))
	do(t, ctx, "the page is live", until(`document.getElementById("live").textContent == "live"`))

	if _, err := s.broker.Put(t.Context(), []glassq.Task{{Queue: "work", Body: []byte("late")}}); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, "a put shows by itself", until(fmt.Sprintf(hasText, "put 7 = ok 0 + failed 0 + dead 2 + pending 5")))

	do(t, ctx, "pause", press(`form[action$="/pause"] button`, enter), chromedp.WaitVisible(`form[action$="/resume"] button`),
		until(fmt.Sprintf(hasText, "The queue is paused")))
	do(t, ctx, "resume", press(`form[action$="/resume"] button`, enter), chromedp.WaitVisible(`form[action$="/pause"] button`))
	do(t, ctx, "set a rate", chromedp.SetValue(`input[name=rate]`, "12.5"), press(`form[action$="/settings"] button`, enter),
		chromedp.WaitReady(`input[name=was_rate][value="12.5"]`))
	if q := s.queue("work"); q.Settings.Rate != 12.5 || q.Settings.Paused {
		t.Errorf("settings are %+v", q.Settings)
	}
	do(t, ctx, "redrive all", chromedp.Navigate(s.url+"/dead"), press(`a[href="/queues/work/tasks?state=dead"]`, enter),
		chromedp.WaitVisible(`form[action$="/redrive"] button`), press(`form[action$="/redrive"] button`, enter),
		chromedp.WaitVisible(`p.note`), until(fmt.Sprintf(hasText, "Redriven: 2 of 2")))
	do(t, ctx, "pause a schedule", chromedp.Navigate(s.url+"/schedules"), press(`form[action="/schedules/nightly/pause"] button`, enter),
		chromedp.WaitVisible(`form[action="/schedules/nightly/resume"] button`), until(fmt.Sprintf(hasText, "The schedule is paused")))
	do(t, ctx, "it goes on", press(`form[action="/schedules/nightly/resume"] button`, enter),
		chromedp.WaitVisible(`form[action="/schedules/nightly/pause"] button`))
	do(t, ctx, "purge the wrong name", chromedp.Navigate(s.url+"/queues/work"), press(`input[value=ready]`, " "),
		chromedp.SendKeys(`.danger input[name=name]`, "wrok\r"), chromedp.WaitVisible(`p.note.bad`))
	if q := s.queue("work"); q.Ready != 6 {
		t.Errorf("%d tasks are ready after the purge of another name", q.Ready)
	}
	do(t, ctx, "purge", chromedp.Navigate(s.url+"/queues/work"), press(`input[value=ready]`, " "),
		chromedp.SendKeys(`.danger input[name=name]`, "work\r"), chromedp.WaitVisible(`p.note`),
		until(fmt.Sprintf(hasText, "6 tasks purged")))

	// The server goes and comes back while the page is open: sessions end with it, so the page
	// leads to the login.
	do(t, ctx, "the page is live again", until(`document.getElementById("live").textContent == "live"`))
	addr := strings.TrimPrefix(s.url, "http://")
	s.stop()
	do(t, ctx, "the page says that the server is away", until(`document.getElementById("live").className == "bad"`))
	s.serve(addr)
	do(t, ctx, "and leads to the login", chromedp.WaitVisible(`input[name=key]`))
}

// TestBrowserSessionEnds: a session that ends in the middle of an action leads to the login, which says so,
// and from there back to the page. Nothing was done, and the next press does it once.
func TestBrowserSessionEnds(t *testing.T) {
	s := newSite(t, func(o *httpdoor.Options) { o.Access = door.NewAccess([]byte("the key")) })
	s.fill()
	ctx := browse(t)
	login := chromedp.SendKeys(`input[name=key]`, "the key\r")
	do(t, ctx, "log in", still, chromedp.Navigate(s.url+"/queues/work"),
		chromedp.WaitVisible(`input[name=key]`), login, chromedp.WaitVisible(`form[action$="/pause"] button`))
	do(t, ctx, "another tab logs out, and this one pauses", chromedp.Evaluate[chromedp.Void](`(pause => {
		const other = new XMLHttpRequest();
		other.open("POST", "/logout", false);
		other.send(new URLSearchParams({form: pause.form.value}));
		pause.requestSubmit();
		})(document.querySelector('form[action$="/pause"]'))`), chromedp.WaitVisible(`input[name=key]`),
		until(fmt.Sprintf(hasText, "not logged in any more")))
	if s.queue("work").Settings.Paused {
		t.Error("an action of a session that is over was done")
	}
	do(t, ctx, "log in again", login, chromedp.WaitVisible(`form[action$="/pause"] button`))
	if at := tell[string](t, ctx, `location.pathname`); at != "/queues/work" || s.queue("work").Settings.Paused {
		t.Errorf("the login leads to %s, paused %v; want the page as it was", at, s.queue("work").Settings.Paused)
	}
	do(t, ctx, "pause", press(`form[action$="/pause"] button`, enter), chromedp.WaitVisible(`form[action$="/resume"] button`))
}

// TestBrowserTwoTabs: of two tabs that redrive the same task the second one is told that there was none.
func TestBrowserTwoTabs(t *testing.T) {
	s := newSite(t, nil)
	s.fill()
	one := browse(t)
	two, end := chromedp.NewContext(one)
	defer end()
	row := `button[name=task][value="~5"]`
	// The tab behind draws nothing and gets no keys, so both are asked and told by scripts.
	submit := chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector(%q).click()`, row))
	for _, tab := range []context.Context{one, two} {
		do(t, tab, "the list of the dead", still, chromedp.Navigate(s.url+"/queues/work/tasks?state=dead"), until(fmt.Sprintf(`document.querySelector(%q)`, row)))
	}
	for i, tab := range []context.Context{one, two} {
		do(t, tab, "redrive", submit)
		note := fmt.Sprintf(`document.querySelector("p.note")?.innerText.includes("%d task")`, 1-i)
		for {
			if err := chromedp.Do(tab, until(note)); err == nil {
				break
			} else if tab.Err() != nil { // else the page before has just gone
				t.Fatalf("tab %d: %v", i+1, err)
			}
		}
	}
	if q := s.queue("work"); q.Dead != 1 || q.Ready != 4 {
		t.Errorf("the queue has %d dead and %d ready tasks; want 1 and 4", q.Dead, q.Ready)
	}
}

// TestBrowserMissesNothing: what changed after a page was made, and before its stream of events was
// open, shows.
func TestBrowserMissesNothing(t *testing.T) {
	s := newSite(t, nil)
	s.fill()
	ctx := browse(t)
	late := first(`window.EventSource = function () { const s = new EventTarget(); window.opened = () => s.onopen(); return s }`)
	do(t, ctx, "a page whose stream is not open", late, chromedp.Navigate(s.url+"/queues/work"), until(`window.opened`),
		until(fmt.Sprintf(hasText, "put 6 =")))
	if _, err := s.broker.Put(t.Context(), []glassq.Task{{Queue: "work"}}); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, "it opens", chromedp.Evaluate[chromedp.Void](`opened(); 0`), until(fmt.Sprintf(hasText, "put 7 =")))
}

// TestBrowserReconnects: a page of a server without keys goes on by itself when the server is back.
func TestBrowserReconnects(t *testing.T) {
	s := newSite(t, nil)
	s.fill()
	ctx := browse(t)
	do(t, ctx, "live", chromedp.Navigate(s.url+"/queues/work"), until(`document.getElementById("live").textContent == "live"`))
	addr := strings.TrimPrefix(s.url, "http://")
	s.stop()
	do(t, ctx, "away", until(`document.getElementById("live").className == "bad"`))
	if _, err := s.broker.Put(t.Context(), []glassq.Task{{Queue: "work"}}); err != nil {
		t.Fatal(err)
	}
	s.serve(addr)
	do(t, ctx, "back", until(`document.getElementById("live").textContent == "live"`), until(fmt.Sprintf(hasText, "put 7 =")))
	// A form of before is refused, says why, and leads back.
	do(t, ctx, "an old form", press(`form[action$="/pause"] button`, enter), chromedp.WaitVisible(`p.note.bad`),
		until(fmt.Sprintf(hasText, "nothing was changed")))
}

// TestBrowserInHand: a pointer that goes for something finds it in its place, and one that never rests
// keeps nothing from the page.
func TestBrowserInHand(t *testing.T) {
	ctx := browse(t)
	const watch = `var asked = 0, rested = false, moves = () => {}; { const real = fetch; fetch = (...a) => { asked++; moves(); ` +
		`return real(...a).finally(() => setTimeout(() => rested = true, 1000)) } }`
	const point = `dispatchEvent(new PointerEvent(%q, {buttons: %d, bubbles: true}))`
	for _, tt := range []struct {
		name  string
		begin string // on the page; then a task is put
		wait  string // until this, at which the page must say what it did; "" does not wait
		end   string
	}{
		{"it moves whenever the page is asked for", `moves = () => ` + fmt.Sprintf(point, "pointermove", 0), "", "0"},
		{"it never rests", `setInterval(() => ` + fmt.Sprintf(point, "pointermove", 0) + `, 20)`, "", "0"},
		{"a finger lies on it", fmt.Sprintf(point, "pointerdown", 1), "rested", fmt.Sprintf(point, "pointerup", 0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, nil)
			s.fill()
			do(t, ctx, "live", chromedp.Navigate(s.url+"/queues/work"), until(`document.getElementById("live").textContent == "live"`))
			put := func() {
				t.Helper()
				if _, err := s.broker.Put(t.Context(), []glassq.Task{{Queue: "work"}}); err != nil {
					t.Fatal(err)
				}
			}
			do(t, ctx, "watch", chromedp.Evaluate[chromedp.Void](watch+"0"))
			put()
			do(t, ctx, "it is watched", until(fmt.Sprintf(hasText, "put 7 ="))) // what was asked for before is here
			do(t, ctx, "begin", chromedp.Evaluate[chromedp.Void]("asked = 0; rested = false; "+tt.begin+";0"))
			put()
			shows := fmt.Sprintf(hasText, "put 8 =")
			if tt.wait != "" {
				do(t, ctx, "wait", until(tt.wait))
				if tell[bool](t, ctx, shows) {
					t.Error("the page was replaced under the finger")
				}
			}
			do(t, ctx, "a put shows", chromedp.Evaluate[chromedp.Void](tt.end+";0"), until(shows))
			if n := tell[int](t, ctx, `asked`); n > 3 {
				t.Errorf("the page was asked for %d times until one answer counted", n)
			}
		})
	}
}

// TestBrowserWithoutScripts: pages and actions need none.
func TestBrowserWithoutScripts(t *testing.T) {
	s := newSite(t, nil)
	s.fill()
	ctx := browse(t)
	without := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled,
			emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
	do(t, ctx, "pause", without, chromedp.Navigate(s.url+"/"),
		chromedp.Click(`a[href="/queues/work"]`), chromedp.WaitVisible(`form[action$="/pause"] button`),
		chromedp.Click(`form[action$="/pause"] button`), chromedp.WaitVisible(`form[action$="/resume"] button`))
	if !s.queue("work").Settings.Paused {
		t.Error("the queue is not paused")
	}
}

// TestBrowserAccessible: no page breaks a rule of axe, in light and dark, and none reaches over the
// edge of a telephone; nothing of a task ran.
func TestBrowserAccessible(t *testing.T) {
	axe, err := os.ReadFile("../../.ci/npm/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Skip("needs axe-core: npm install in .ci/npm")
	}
	s := newSite(t, nil)
	s.fill()
	ctx := browse(t)
	var broken []struct {
		ID, Help string
		Nodes    []struct {
			HTML           string
			FailureSummary string
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		for _, path := range append(pagePaths, "/login?to=/", "/queues/nix", "/?lang=zh", "/?lang=en") {
			dress := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
				as := emulation.MediaFeature{Name: "prefers-color-scheme", Value: scheme}
				_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia,
					emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{&as}})
				return err
			})
			do(t, ctx, path, chromedp.EmulateViewport(360, 800), dress, chromedp.Navigate(s.url+path),
				chromedp.Evaluate[chromedp.Void](string(axe)+";0"))
			title := tell[string](t, ctx, `document.title`)
			wide := tell[int](t, ctx, `document.documentElement.scrollWidth`)
			text := tell[string](t, ctx, `axe.run().then(r => JSON.stringify(r.violations))`)
			if err := json.Unmarshal([]byte(text), &broken); err != nil {
				t.Fatal(err)
			}
			for _, b := range broken {
				t.Errorf("%s, %s: %s: %s: %s: %s", path, scheme, b.ID, b.Help, b.Nodes[0].HTML, b.Nodes[0].FailureSummary)
			}
			if wide > 360 {
				t.Errorf("%s, %s: %d pixels wide", path, scheme, wide)
			}
			if strings.Contains(title, "owned") {
				t.Errorf("%s: a task's script ran", path)
			}
		}
	}
}
