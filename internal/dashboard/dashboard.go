// Package dashboard shows a server to the people who run it: what is stuck, why, and the button
// that mends it.
//
// It is HTML that a browser shows without scripts, and keeps up to date with one small script of
// its own: whenever GET /v1/events tells of a change, the script asks for the same page again and
// replaces what it shows. A chart is drawn from the table behind it. So each figure is made in one
// place, here. Text of tasks is never markup: all pages are html/template, and the policy of their
// content lets nothing run but the files of the package.
//
// The package decides nothing about tasks. Everybody is known by the door's Access, and each action
// asks for the same right as its verb in the API.
package dashboard

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/explain"
	"github.com/glassq/glassq/internal/live"
	"github.com/glassq/glassq/internal/rights"
)

// policy lets a page load the files of this package and nothing else, and lets nobody frame it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

const (
	maxForm   = 64 << 10 // bytes of one
	maxWorker = 1000     // workers on a page
)

//go:embed assets pages
var files embed.FS

// Options tunes New.
type Options struct {
	Access   *door.Access                          // tells whether a key is needed
	Known    func(*http.Request) (door.Who, error) // who sent a request with a key in its header, or a certificate
	Client   func(*http.Request) door.Client       // how what is done is audited
	Status   func(glassq.Code) int                 // of the answer to an error
	Live     *live.Live
	Explain  *explain.Explainer
	Life     context.Context // when it is done, so are the changes of dead tasks that are under way
	ReadOnly bool            // nobody may change anything by a page
	Log      *slog.Logger    // nil discards
}

// A Server serves the pages of one broker. It is safe for concurrent use.
type Server struct {
	broker   *broker.Broker
	opt      Options
	mux      *http.ServeMux
	pages    map[string]*template.Template
	assets   map[string]*asset
	version  string // of the assets
	sessions sessions
	guest    string // the token of forms for those who need no session
	changes  changes
}

type asset struct {
	kind         string
	plain, small []byte
}

// New makes the pages of b.
func New(b *broker.Broker, opt Options) *Server {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{broker: b, opt: opt, mux: http.NewServeMux(), pages: map[string]*template.Template{},
		assets: map[string]*asset{}, guest: rand.Text()}
	s.sessions.all = map[[sha256.Size]byte]*session{}
	s.changes.all = map[string]*progress{}
	s.load()
	s.routes()
	return s
}

// load reads the embedded files, which cannot be missing.
func (s *Server) load() {
	sum := sha256.New()
	list, _ := files.ReadDir("assets")
	for _, f := range list {
		text, _ := files.ReadFile("assets/" + f.Name())
		sum.Write(text)
		var small bytes.Buffer
		z, _ := gzip.NewWriterLevel(&small, gzip.BestCompression)
		z.Write(text)
		z.Close()
		kind := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
			".svg": "image/svg+xml"}[path.Ext(f.Name())]
		if kind == "" {
			kind = "text/plain; charset=utf-8"
		}
		s.assets[f.Name()] = &asset{kind, text, small.Bytes()}
	}
	s.version = hex.EncodeToString(sum.Sum(nil)[:8])
	layout := template.Must(template.New("").Funcs(funcs).ParseFS(files, "pages/layout.html", "pages/parts.html"))
	list, _ = files.ReadDir("pages")
	for _, f := range list {
		if name, _ := strings.CutSuffix(f.Name(), ".html"); name != "layout" && name != "parts" {
			s.pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "pages/"+f.Name()))
		}
	}
}

// Patterns are what a door gives to ServeHTTP.
var Patterns = []string{"GET /{$}", "/queues", "/queues/", "/runs", "/runs/", "/schedules", "/schedules/", "/dead", "/workers", "/login", "/logout",
	"GET /assets/"}

func (s *Server) routes() {
	page := func(pattern string, verb rights.Verb, h func(*visit) error) { s.handle(pattern, verb, false, h) }
	act := func(pattern string, verb rights.Verb, h func(*visit) error) { s.handle(pattern, verb, true, h) }
	page("GET /{$}", rights.VerbStats, (*visit).overview)
	page("GET /queues", rights.VerbQueues, (*visit).queues)
	page("GET /queues/{queue}", rights.VerbQueue, (*visit).queue)
	page("GET /queues/{queue}/tasks", rights.VerbPeek, (*visit).tasks)
	page("GET /queues/{queue}/tasks/{id}", rights.VerbPeek, (*visit).task)
	page("GET /runs", rights.VerbRuns, (*visit).runs)
	page("GET /runs/{run}", rights.VerbRun, (*visit).run)
	page("GET /schedules", rights.VerbSchedules, (*visit).schedules)
	page("GET /dead", rights.VerbQueues, (*visit).dead)
	page("GET /workers", rights.VerbMetrics, (*visit).workers)
	act("POST /queues/{queue}/settings", rights.VerbConfigure, (*visit).changeSettings)
	act("POST /queues/{queue}/pause", rights.VerbConfigure, (*visit).pause)
	act("POST /queues/{queue}/resume", rights.VerbConfigure, (*visit).resume)
	act("POST /queues/{queue}/purge", rights.VerbPurge, (*visit).purge)
	act("POST /queues/{queue}/redrive", rights.VerbRedrive, (*visit).redrive)
	act("POST /schedules/{schedule}/pause", rights.VerbSetSchedule, (*visit).pauseSchedule)
	act("POST /schedules/{schedule}/resume", rights.VerbSetSchedule, (*visit).resumeSchedule)
	act("POST /runs/{run}/cancel", rights.VerbCancelRun, (*visit).cancel)
	s.mux.HandleFunc("GET /login", s.showLogin)
	s.mux.HandleFunc("POST /login", s.login)
	s.mux.HandleFunc("POST /logout", s.logout)
	s.mux.HandleFunc("GET /assets/{name}", s.asset)
	s.mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		s.newVisit(rw, r).fail(glassq.Errorf(glassq.CodeNotFound, "there is no page %.100s", r.URL.Path))
	})
}

// handle routes a page or an action. A visitor who is not known goes to the login; an action that
// comes without the token of a form, or on a read-only dashboard, is refused.
func (s *Server) handle(pattern string, verb rights.Verb, action bool, h func(*visit) error) {
	s.mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
		v := s.newVisit(rw, r)
		if !v.known {
			v.toLogin(action)
			return
		}
		ctx, end := v.who.Within(v.r.Context())
		defer end()
		v.r = v.r.WithContext(ctx)
		err := v.store().May(ctx, verb, cmp.Or(r.PathValue("queue"), r.PathValue("run")))
		if err == nil && action {
			err = v.checkForm()
		}
		if err == nil {
			err = h(v)
		}
		if err != nil {
			v.fail(err)
		}
	})
}

// ServeHTTP answers a request for a page, an action or a file.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	h := rw.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	r.Body = http.MaxBytesReader(rw, r.Body, maxForm) // for everybody: net/http reads forms by itself
	s.mux.ServeHTTP(rw, r)
}

// Wait waits until no change of dead tasks is under way any more; Options.Life must be done.
func (s *Server) Wait() { s.changes.wg.Wait() }

func (s *Server) asset(rw http.ResponseWriter, r *http.Request) {
	a := s.assets[r.PathValue("name")]
	if a == nil {
		http.NotFound(rw, r)
		return
	}
	h := rw.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Vary", "Accept-Encoding")
	if r.URL.Query().Get("v") == s.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		rw.Write(a.small)
		return
	}
	rw.Write(a.plain)
}

func takesGzip(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}

// A visit is one request.
type visit struct {
	*Server
	rw      http.ResponseWriter
	r       *http.Request
	who     door.Who
	known   bool
	session *session // nil for guests, and those who send a key with each request
	chinese bool
}

func (s *Server) newVisit(rw http.ResponseWriter, r *http.Request) *visit {
	v := &visit{Server: s, rw: rw, r: r}
	v.chinese = languageOf(rw, r)
	if !s.opt.Access.Locked() {
		v.who, v.known = s.opt.Access.Guest(nil, 0), true
	} else if v.session = s.sessions.find(r); v.session != nil {
		v.who, v.known = v.session.who, true
	} else if who, err := s.opt.Known(r); err == nil {
		v.who, v.known = who, true
	}
	v.r = r.WithContext(live.WithCaller(r.Context(), live.Caller{Door: "http", Worker: "dashboard", Version: r.UserAgent()}))
	return v
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// may tells whether the visitor may do something with a queue or a run, so that pages show no
// button that is refused.
func (v *visit) may(verb rights.Verb, name string) bool {
	return !v.opt.ReadOnly && v.who.May(verb, name) == nil
}

func (v *visit) store() door.Store { return door.NewStore(v.broker, v.who, v.opt.Client(v.r)) }

// A view is what templates get: who looks, and Data, which differs by page.
type view struct {
	*visit
	Title string
	Page  string // of the menu
	Data  any
}

// render shows a page. It is made as a whole first, so that an error in the middle shows no half of
// it.
func (v *visit) render(status int, name, title string, data any) error {
	var page bytes.Buffer
	if err := v.pages[name].ExecuteTemplate(&page, "layout.html", &view{v, title, name, data}); err != nil {
		return fmt.Errorf("make page %s: %w", name, err)
	}
	h := v.rw.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Vary", "Accept-Encoding, Accept-Language, Cookie")
	out := io.Writer(v.rw)
	if takesGzip(v.r) {
		h.Set("Content-Encoding", "gzip")
		z := zips.Get().(*gzip.Writer)
		defer zips.Put(z)
		z.Reset(v.rw)
		defer z.Close()
		out = z
	}
	http.NewResponseController(v.rw).SetWriteDeadline(time.Now().Add(time.Minute)) // where unsupported, there is no network
	v.rw.WriteHeader(status)
	out.Write(page.Bytes()) // where that fails, there is nobody to tell
	return nil
}

var zips = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // a level that there is
	return z
}}

// fail shows an error as a page.
func (v *visit) fail(err error) {
	status := v.opt.Status(glassq.CodeOf(err))
	if status == http.StatusInternalServerError {
		v.opt.Log.Error("page not shown", "path", v.r.URL.Path, "error", err)
	}
	if err := v.render(status, "error", v.T("Not done"), err.Error()); err != nil {
		v.opt.Log.Error("page not shown", "path", v.r.URL.Path, "error", err)
		http.Error(v.rw, "internal error; the server's log says more", http.StatusInternalServerError)
	}
}

// names of the menu, in its order, and where they lead.
var menu = []struct{ Page, Title, Href string }{{"overview", "Overview", "/"}, {"queues", "Queues", "/queues"},
	{"runs", "Runs", "/runs"},
	{"schedules", "Schedules", "/schedules"}, {"dead", "Dead", "/dead"}, {"workers", "Workers", "/workers"}}

// Menu is for templates, as are the other exported methods.
func (v *visit) Menu() any { return menu }

// About is the query of the events that the page is about: a token may hear of its queues, but not
// of all.
func (v *visit) About() string {
	if queue := v.r.PathValue("queue"); queue != "" {
		return url.Values{"queue": {queue}}.Encode()
	}
	if run := v.r.PathValue("run"); run != "" {
		return url.Values{"run": {run}}.Encode()
	}
	return ""
}

// Version names the assets, so that a browser may keep them.
func (v *visit) Version() string { return v.version }

// Known tells whether the visitor has come in.
func (v *visit) Known() bool { return v.known }

// HasSession tells whether there is something to log out of.
func (v *visit) HasSession() bool { return v.session != nil }

// ReadOnly tells whether nothing can be changed here.
func (v *visit) ReadOnly() bool { return v.opt.ReadOnly }

// Here is the address of the page, to come back to.
func (v *visit) Here() string {
	if v.r.Method != http.MethodGet {
		return local(v.r.PostFormValue("back"))
	}
	q := v.r.URL.Query()
	q.Del("done")
	q.Del("count")
	if len(q) == 0 {
		return v.r.URL.EscapedPath()
	}
	return v.r.URL.EscapedPath() + "?" + q.Encode()
}

// Link is the page with some values of its query set: pairs of name and value. "" takes a name
// away.
func (v *visit) Link(pairs ...any) string {
	q := maps.Clone(v.r.URL.Query())
	q.Del("done")
	q.Del("count")
	for pair := range slices.Chunk(pairs, 2) {
		if text := fmt.Sprint(pair[1]); text == "" {
			q.Del(fmt.Sprint(pair[0]))
		} else {
			q.Set(fmt.Sprint(pair[0]), text)
		}
	}
	return v.r.URL.EscapedPath() + "?" + q.Encode()
}

// Query is a value of the query of the page.
func (v *visit) Query(name string) string { return v.r.URL.Query().Get(name) }

// local is a path of this server, "/" for anything else.
func local(to string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
		return "/"
	}
	return to
}
