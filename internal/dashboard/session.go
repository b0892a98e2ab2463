package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
)

const (
	maxSessions = 1000          // the one used least lately goes when there are more
	sessionIdle = 8 * time.Hour // without a request
)

// A session is a browser that has shown a key. A browser knows it by a random text, of which the
// server keeps a digest. Sessions end with the server.
type session struct {
	who  door.Who
	form string    // the token of its forms
	used time.Time // guarded by sessions.mu
}

type sessions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*session
}

// cookieName has the port in it: browsers send a cookie to every port of a host, and there may be
// several servers.
func cookieName(r *http.Request) string {
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		return "glassq-session-" + port
	}
	return "glassq-session"
}

func (s *sessions) find(r *http.Request) *session {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return nil
	}
	key := sha256.Sum256([]byte(c.Value))
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.all[key]
	if found == nil {
		return nil
	}
	now := time.Now()
	if now.Sub(found.used) > sessionIdle || found.who.Over() != nil {
		delete(s.all, key)
		return nil
	}
	found.used = now
	return found
}

// begin makes a session, and returns the text by which the browser knows it.
func (s *sessions) begin(who door.Who) string {
	text := rand.Text() + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxSessions {
		var oldest [sha256.Size]byte
		var at time.Time
		for k, x := range s.all {
			if at.IsZero() || x.used.Before(at) {
				oldest, at = k, x.used
			}
		}
		delete(s.all, oldest)
	}
	s.all[sha256.Sum256([]byte(text))] = &session{who: who, form: rand.Text(), used: time.Now()}
	return text
}

func (s *sessions) end(r *http.Request) {
	if c, err := r.Cookie(cookieName(r)); err == nil {
		s.mu.Lock()
		delete(s.all, sha256.Sum256([]byte(c.Value)))
		s.mu.Unlock()
	}
}

// Visitor is who has a session by the cookie of r. A door lets such a one read, and nothing else:
// what changes something needs the token of a form.
func (s *Server) Visitor(r *http.Request) (door.Who, bool) {
	if found := s.sessions.find(r); found != nil {
		return found.who, true
	}
	return door.Who{}, false
}

// Form is the token that shows that a form is of one of our pages.
func (v *visit) Form() string {
	if v.session != nil {
		return v.session.form
	}
	return v.guest
}

// checkForm reads a form and checks that it may be sent.
func (v *visit) checkForm() error {
	if v.opt.ReadOnly {
		return glassq.Errorf(glassq.CodeForbidden, "this dashboard is read-only (serve --read-only-dashboard)")
	}
	if err := v.readForm(); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(v.r.PostFormValue("form")), []byte(v.Form())) != 1 {
		return glassq.Errorf(glassq.CodeForbidden,
			"nothing was changed: the page is older than this server, or not of it; go back, load it again, and try again")
	}
	return nil
}

func (v *visit) readForm() error {
	if err := v.r.ParseForm(); err != nil {
		return glassq.Errorf(glassq.CodeBadRequest, "the form cannot be read: %w", err)
	}
	return nil
}

// toLogin sends the visitor to the login, and back to the page later. What an action was to do is
// not done.
func (v *visit) toLogin(action bool) {
	q := url.Values{"to": {v.Here()}}
	if action {
		q.Set("over", "1")
	}
	http.Redirect(v.rw, v.r, "/login?"+q.Encode(), http.StatusSeeOther)
}

type loginPage struct {
	To          string
	Over, Wrong bool
	NoCookie    bool
}

func (s *Server) showLogin(rw http.ResponseWriter, r *http.Request) {
	v := s.newVisit(rw, r)
	to := local(v.Query("to"))
	if v.known {
		http.Redirect(rw, r, to, http.StatusSeeOther)
		return
	}
	v.showLogin(http.StatusOK, loginPage{To: to, Over: v.Query("over") != "", NoCookie: v.Query("in") != ""})
}

func (v *visit) showLogin(status int, p loginPage) {
	if err := v.render(status, "login", v.T("Log in"), p); err != nil {
		v.fail(err)
	}
}

// login takes a key, or a token. The answer leads over a page that the browser can only see with
// the cookie.
func (s *Server) login(rw http.ResponseWriter, r *http.Request) {
	v := s.newVisit(rw, r)
	if err := v.readForm(); err != nil {
		v.fail(err)
		return
	}
	to := local(v.r.PostFormValue("to"))
	if !s.opt.Access.Locked() {
		http.Redirect(rw, r, to, http.StatusSeeOther)
		return
	}
	as := r.Clone(r.Context()) // as a client would send it, so that the door holds up wrong keys in one place
	as.Header.Set("Authorization", "Bearer "+strings.TrimSpace(v.r.PostFormValue("key")))
	who, err := s.opt.Known(as)
	s.opt.Client(r).Login(r.Context(), who, err)
	if err != nil {
		s.opt.Log.Warn("a wrong key at the dashboard", "client", r.RemoteAddr)
		v.showLogin(http.StatusUnauthorized, loginPage{To: to, Wrong: true})
		return
	}
	http.SetCookie(rw, &http.Cookie{Name: cookieName(r), Value: s.sessions.begin(who), Path: "/", HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	http.Redirect(rw, r, "/login?"+url.Values{"to": {to}, "in": {"1"}}.Encode(), http.StatusSeeOther)
}

func (s *Server) logout(rw http.ResponseWriter, r *http.Request) {
	v := s.newVisit(rw, r)
	if v.readForm() == nil && v.session != nil && v.r.PostFormValue("form") == v.Form() {
		s.sessions.end(r)
		http.SetCookie(rw, &http.Cookie{Name: cookieName(r), Path: "/", MaxAge: -1, HttpOnly: true,
			SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	}
	http.Redirect(rw, r, "/login", http.StatusSeeOther)
}
