//go:build pictures

package dashboard_test

import (
	"context"
	"flag"
	"fmt"
	"html"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/live"
)

var pictures = flag.String("pictures", "", "folder that the pictures go to")

// TestPictures puts a server under a load of tasks, results and failures, and writes a picture of
// each page in light and dark: make pictures.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Fatal("-pictures names no folder")
	}
	s := newSite(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	must := func(err error) {
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
	const total = 60_000
	_, err := s.broker.SetRun(ctx, "nightly-2026-11", glassq.RunChange{Queue: "crawl", Sealed: true, Total: total})
	must(err)
	random := rand.New(rand.NewPCG(1, 1))
	next := uint32(0)
	work := func() { // a tenth of a second of it
		var tasks []glassq.Task
		for range 120 + random.IntN(60) {
			if next < total {
				tasks = append(tasks, glassq.Task{Queue: "crawl", Run: "nightly-2026-11", Position: next, Dense: true,
					Body: fmt.Appendf(nil, "https://shop.example/item/%d", next)})
				next++
			}
			tasks = append(tasks, glassq.Task{Queue: "emails", Body: []byte(`{"to":"ada@example.org","template":"welcome"}`), Type: glassq.TypeJSON})
		}
		_, err := s.broker.Put(ctx, tasks)
		must(err)
		for i, queue := range []string{"crawl", "emails", "crawl"} {
			who := live.WithCaller(ctx, live.Caller{Door: "http", Worker: fmt.Sprintf("host-%d", i+1), Version: "glassq"})
			leases, err := s.broker.Reserve(who, glassq.Reserve{Queue: queue, Max: 60 + random.IntN(50)})
			must(err)
			var acks []glassq.Ack
			for k := range leases {
				l := &leases[k]
				if random.IntN(400) == 0 {
					_, err := s.broker.Nack(who, []glassq.Nack{{Token: l.Token(), Dead: true, Reason: "no such address"}})
					must(err)
					continue
				}
				o := `{"i":1,"o":{"ok":1,"rt":0.01,"code":200}}`
				if random.IntN(50) == 0 {
					o = `{"i":1,"o":{"ok":0,"rt":5,"err":"timeout","msg":"no answer within 5s"}}`
				}
				acks = append(acks, glassq.Ack{Token: l.Token(), Result: &glassq.Task{Body: []byte(o), Type: glassq.TypeJSON}})
			}
			_, err = s.broker.Ack(who, acks)
			must(err)
		}
	}
	receipts, err := s.broker.Put(ctx, []glassq.Task{
		{Queue: "reports", Body: []byte(`{"quarter":4,"for":["ada","grace"]}`), Type: glassq.TypeJSON, Headers: map[string]string{
			"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
		{Queue: "thumbnails", Body: []byte("1.png")}})
	must(err)
	paused := true
	_, err = s.broker.Configure(ctx, "reports", glassq.SettingsChange{Paused: &paused})
	must(err)
	begun, worked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(worked)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			if work(); n == 400 {
				close(begun)
			}
			<-tick.C
		}
	}()
	browser := browse(t)
	<-begun
	must(os.MkdirAll(*pictures, 0o755))
	for _, scheme := range []string{"light", "dark"} {
		for name, path := range map[string]string{"overview": "/", "queues": "/queues", "queue": "/queues/crawl",
			"run": "/runs/nightly-2026-11", "runs": "/runs", "dead": "/dead", "tasks": "/queues/crawl/tasks?state=dead",
			"task": fmt.Sprintf("/queues/reports/tasks/~%d", receipts[0].Number), "workers": "/workers"} {
			dress := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
				as := emulation.MediaFeature{Name: "prefers-color-scheme", Value: scheme}
				_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia,
					emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{&as}})
				return err
			})
			do(t, browser, path, chromedp.EmulateViewport(1280, 860), dress, chromedp.Navigate(s.url+path),
				chromedp.WaitVisible("h1"))
			png, err := chromedp.Run(browser, chromedp.CaptureScreenshot())
			must(err)
			must(os.WriteFile(filepath.Join(*pictures, name+"-"+scheme+".png"), png, 0o644))
		}
	}
	stop()
	<-worked
}

// TestPictureOfATerminal writes a picture of a terminal at the end of a run, which is run for it.
func TestPictureOfATerminal(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "glassq")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/glassq").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	slow := func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) }
	target := httptest.NewServer(http.HandlerFunc(slow))
	defer target.Close()
	const said = "glassq run 'http://127.0.0.1:8888/?q={0}' -n 20000"
	run := strings.NewReplacer("glassq", program, "http://127.0.0.1:8888", target.URL).Replace(said)
	run = "stty cols 110; " + run + " --out " + os.DevNull + " --data " + dir + "/d"
	out, err := exec.Command("script", "-qec", run, os.DevNull).Output()
	if err != nil {
		t.Fatal(err)
	}
	screen := string(out[strings.LastIndex(string(out), "\x1b[J")+len("\x1b[J"):]) // the last one, with what follows
	page := filepath.Join(dir, "terminal.html")
	const style = `<body style="margin:0"><pre style="display:inline-block;margin:0;padding:16px 20px;background:#16181d;` +
		`color:#e8e8e8;font:15px/1.45 monospace">$ `
	screen = style + html.EscapeString(said+"\n"+strings.TrimSpace(screen))
	if err := os.WriteFile(page, []byte(screen), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx := browse(t)
	do(t, ctx, "draw", chromedp.EmulateViewport(1280, 400), chromedp.Navigate("file://"+page))
	png, err := chromedp.Run(ctx, chromedp.Screenshot("pre"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*pictures, "terminal.png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
