package dashboard_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/live"
)

const isLive = `document.getElementById("live").textContent == "live"`

func pointer[T any](v T) *T { return &v }

// reach waits until an expression is true on a page that may be on its way to another one.
func reach(t *testing.T, ctx context.Context, what, expression string) {
	t.Helper()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`!!document.body && (`+expression+`)`))
		if err == nil && is {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: %s stays false: %v", what, expression, err)
		}
	}
}

// A fault is something that stands still. The tests walk from the overview: to the cause by the link
// at, which is "" where the overview says it; from there by the link to, if any, to the form with
// the action cure.
type fault struct {
	name  string
	stage func()
	at    string // the page that names the cause, if it is not the overview
	cause string
	to    string // the page with the cure
	fill  string // a field of the form, which is filled with value
	value string
	cure  string // the action of the form; "" where the cure is a command, which the page to says as value
	cured string // an expression about the page that follows
	end   func() // if not nil, makes room on the overview, which shows ten
}

// TestBrowserWhatIsStuck stages fourteen faults: the overview, or a page that is one click away, names
// the cause, and the button that cures it is pressed after two clicks at most. No page can start a
// worker, or read results: there it says the command.
func TestBrowserWhatIsStuck(t *testing.T) {
	s := newSite(t, nil)
	var asks sync.WaitGroup
	t.Cleanup(asks.Wait)
	worker := live.WithCaller(t.Context(), live.Caller{Door: "http", Worker: "host-7"})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(n int, task glassq.Task) {
		t.Helper()
		tasks := make([]glassq.Task, n)
		for i := range tasks {
			tasks[i] = task
			tasks[i].Position = uint32(i)
		}
		_, err := s.broker.Put(worker, tasks)
		must(err)
	}
	reserve := func(queue string) glassq.Token {
		t.Helper()
		leases, err := s.broker.Reserve(worker, glassq.Reserve{Queue: queue})
		if err != nil || len(leases) != 1 {
			t.Fatal(leases, err)
		}
		return leases[0].Token()
	}
	set := func(queue string, c glassq.SettingsChange) {
		t.Helper()
		_, err := s.broker.Configure(worker, queue, c)
		must(err)
	}
	run := func(name string, c glassq.RunChange) {
		t.Helper()
		_, err := s.broker.SetRun(worker, name, c)
		must(err)
	}
	in := func(text string) string { return fmt.Sprintf(hasText, text) }
	gone := func(text string) string { return "!" + in(text) }
	faults := []fault{
		{name: "paused", cause: "it is paused", to: "/queues/paused", cure: "/queues/paused/resume", cured: gone("it is paused"),
			stage: func() {
				put(1, glassq.Task{Queue: "paused"})
				set("paused", glassq.SettingsChange{Paused: pointer(true)})
			}},
		{name: "halted", cause: "it is halted", to: "/queues/halted", cure: "/queues/halted/resume", cured: gone("it is halted"),
			stage: func() {
				set("halted", glassq.SettingsChange{Halt: pointer("failed>0% of 1"), Fair: pointer(true)})
				put(2, glassq.Task{Queue: "halted", Key: "a"})
				failed := glassq.Task{Body: []byte(`{"i":"x","o":{"ok":0}}`), Type: glassq.TypeJSON}
				_, err := s.broker.Ack(worker, []glassq.Ack{{Token: reserve("halted"), Result: &failed}})
				must(err)
			}, end: func() {
				_, err := s.broker.Purge(worker, "halted")
				must(err)
			}},
		{name: "rated", cause: "let go at 0.001 a second", to: "/queues/rated", fill: "rate", value: "0",
			cure: "/queues/rated/settings", cured: gone("let go at"), stage: func() {
				set("rated", glassq.SettingsChange{Rate: pointer(0.001)})
				put(3, glassq.Task{Queue: "rated"})
				reserve("rated")
				asks.Go(func() { // until the test ends
					s.broker.Reserve(worker, glassq.Reserve{Queue: "rated", Wait: time.Hour})
				})
			}},
		{name: "unworked", cause: "nobody asks", to: "/queues/unworked", value: "glassq work http --queue unworked",
			stage: func() { put(2, glassq.Task{Queue: "unworked"}) }},
		{name: "dead", cause: "1 dead", to: "/queues/dead", cure: "/queues/dead/redrive", cured: in("Redriven: 1 of 1"),
			stage: func() {
				put(1, glassq.Task{Queue: "dead"})
				_, err := s.broker.Nack(worker, []glassq.Nack{{Token: reserve("dead"), Dead: true}})
				must(err)
			}},
		{name: "full", cause: "it is full", to: "/queues/full", fill: "max_tasks", value: "0", cure: "/queues/full/settings",
			cured: gone("it is full"), stage: func() {
				put(1, glassq.Task{Queue: "full"})
				set("full", glassq.SettingsChange{MaxTasks: pointer(int64(1))})
			}},
		{name: "unread", cause: "the queue unread.results is full", to: "/queues/unread.results", fill: "max_tasks", value: "0",
			cure: "/queues/unread.results/settings", cured: gone("it is full"), stage: func() {
				put(1, glassq.Task{Queue: "unread.results"})
				set("unread.results", glassq.SettingsChange{MaxTasks: pointer(int64(1))})
				put(2, glassq.Task{Queue: "unread", ResultQueue: "unread.results"})
				reserve("unread")
			}},
		{name: "held", cause: "at their limit: host-7 holds 1", to: "/queues/held", value: "glassq work http --queue held",
			stage: func() { put(2, glassq.Task{Queue: "held"}); reserve("held") }},
		{name: "leased", cause: "1 leased by host-7", to: "/workers", value: "host-7",
			stage: func() { put(1, glassq.Task{Queue: "leased"}); reserve("leased") }},
		{name: "later", cause: "1 delayed, the next until", to: "/queues/later", value: "delayed",
			stage: func() { put(1, glassq.Task{Queue: "later", Delay: glassq.MaxDelay}) }},
		{name: "unsealed", at: "/runs", cause: "not sealed", to: "/runs/unsealed", fill: "name", value: "unsealed",
			cure: "/runs/unsealed/cancel", cured: in("put 1 = ok 0 + failed 0 + dead 1 + pending 0"), stage: func() {
				run("unsealed", glassq.RunChange{Queue: "of-run"})
				put(1, glassq.Task{Queue: "of-run", Run: "unsealed", Dense: true})
			}},
		// The last one: until it is looked at its worker has been silent for a while, and the page says so by itself.
		{name: "silent", cause: "1 leased by host-9, silent for", to: "/queues/silent", value: "glassq work http --queue silent",
			stage: func() {
				put(1, glassq.Task{Queue: "silent"})
				gone := live.WithCaller(t.Context(), live.Caller{Door: "http", Worker: "host-9"})
				leases, err := s.broker.Reserve(gone, glassq.Reserve{Queue: "silent", Lease: time.Hour})
				if err != nil || len(leases) != 1 {
					t.Fatal(leases, err)
				}
			}},
	}
	for _, f := range faults {
		f.stage()
	}
	ctx := browse(t)
	t.Run("disk low", func(t *testing.T) {
		low := newSiteOn(t, t.TempDir(), disk.Options{MinFree: disk.Watermark{Bytes: 1 << 60}}, nil)
		do(t, ctx, "the overview", chromedp.Navigate(low.url+"/"), chromedp.WaitVisible(`#figures`))
		reach(t, ctx, "the cause", in("The storage is low: puts are refused until there is room."))
	})
	t.Run("stopping", func(t *testing.T) {
		stops := newSite(t, nil)
		do(t, ctx, "the overview", chromedp.Navigate(stops.url+"/"), until(isLive))
		addr := strings.TrimPrefix(stops.url, "http://")
		stops.stop()
		reach(t, ctx, "the cause", in("The server was stopped; this page goes on when it runs again."))
		stops.serve(addr)
		reach(t, ctx, "cured", isLive)
	})
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			link := func(path string) chromedp.Action[chromedp.Void] { return press(`a[href="`+path+`"]`, enter) }
			do(t, ctx, "the overview", chromedp.Navigate(s.url+"/"), chromedp.WaitVisible(`#figures`))
			if f.at != "" {
				do(t, ctx, "the page of the cause", link(f.at), chromedp.WaitVisible(`#list`))
			}
			row := fmt.Sprintf(`[...document.querySelectorAll("tr")].filter(r => r.querySelector("th a")?.textContent == %q)`+
				`.map(r => r.innerText).join()`, f.name)
			reach(t, ctx, "the cause", fmt.Sprintf(`(%s).includes(%q)`, row, f.cause))
			do(t, ctx, "the page of the cure", link(f.to))
			reach(t, ctx, "the page of the cure", fmt.Sprintf(`location.pathname == %q`, f.to))
			if f.cure == "" {
				reach(t, ctx, "the cure", in(f.value))
				return
			}
			form := `form[action="` + f.cure + `"] `
			if f.fill != "" {
				fill := `(e => { if (e) { e.focus(); e.value = %q } return !!e })(document.querySelector(%q))`
				do(t, ctx, "fill in", until(fmt.Sprintf(fill, f.value, form+`input[name=`+f.fill+`]`)))
			}
			do(t, ctx, "press the button", press(form+`button`, enter))
			reach(t, ctx, "cured", f.cured+` && document.readyState == "complete"`)
			if f.end != nil {
				f.end()
			}
		})
	}
}
