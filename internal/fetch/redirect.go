package fetch

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/glassq/glassq/result"
)

// redirects reports whether code sends the client elsewhere.
func redirects(code int) bool {
	switch code {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// credentials are headers that go only to the scheme, host and port they were meant for.
var credentials = []string{"Authorization", "Cookie", "Cookie2", "Proxy-Authorization", "Www-Authenticate"}

// next is the request that follows req when it was answered with code and location. As browsers do
// it, 303 makes a GET of everything but HEAD, 301 and 302 of POST; 307 and 308 send the same again.
func (r *request) next(code int, location string) (*request, error) {
	from, err := url.Parse(string(r.url))
	if err != nil {
		return nil, bare(err)
	}
	to, err := from.Parse(string(escape([]byte(location))))
	if err != nil {
		return nil, fmt.Errorf("the redirect goes to no URL: %w", bare(err))
	}
	n := &request{method: r.method, header: r.header, body: r.body, timeout: r.timeout}
	if strings.HasPrefix(r.odd, oddHeader) || r.odd == oddMethod {
		n.odd = r.odd
	}
	switch {
	case code == http.StatusSeeOther && r.method != http.MethodHead, code < http.StatusSeeOther &&
		r.method == http.MethodPost:
		n.method, n.body = "", nil
		n.header = without(n.header, func(name string) bool {
			return strings.HasPrefix(strings.ToLower(name), "content-") || strings.EqualFold(name, "Transfer-Encoding")
		})
	}
	if from.Scheme != to.Scheme || !strings.EqualFold(from.Host, to.Host) {
		n.header = without(n.header, func(name string) bool {
			for _, c := range credentials {
				if strings.EqualFold(name, c) {
					return true
				}
			}
			return strings.EqualFold(name, "Host")
		})
	}
	if err := n.setURL([]byte(to.String())); err != nil {
		return nil, fmt.Errorf("the redirect goes elsewhere: %w", err)
	}
	return n, nil
}

// withCookies is r with the cookies that jar has for it, beside its own; nil for no jar.
func (r *request) withCookies(jar http.CookieJar) *request {
	if jar == nil {
		return r
	}
	u, err := url.Parse(string(r.url))
	if err != nil {
		return r
	}
	cookies := jar.Cookies(u)
	if len(cookies) == 0 {
		return r
	}
	n := *r
	var pairs []string
	for _, f := range r.header {
		if strings.EqualFold(f.name, "Cookie") {
			pairs = append(pairs, f.value)
		}
	}
	for _, c := range cookies {
		pairs = append(pairs, c.String())
	}
	n.header = append(without(r.header, func(name string) bool { return strings.EqualFold(name, "Cookie") }),
		field{"Cookie", strings.Join(pairs, "; ")})
	return &n
}

// keepCookies puts into jar what the answer to r set. The jar is of one task, so it needs no list
// of public suffixes.
func keepCookies(jar http.CookieJar, r *request, lines []string) {
	u, err := url.Parse(string(r.url))
	if err != nil {
		return
	}
	var cookies []*http.Cookie
	for _, line := range lines {
		if c, err := http.ParseSetCookie(line); err == nil {
			cookies = append(cookies, c)
		}
	}
	jar.SetCookies(u, cookies)
}

// without is the fields whose names drop does not take.
func without(fields []field, drop func(name string) bool) []field {
	var kept []field
	for _, f := range fields {
		if !drop(f.name) {
			kept = append(kept, f)
		}
	}
	return kept
}

// chain sends req and goes where redirects lead, for up to Options.Redirects hops, and leaves the
// last answer in h.a.
func (h *handler) chain(t *turn, req *request) {
	var jar http.CookieJar
	for {
		if err := h.f.guard.host(req.host); err != nil {
			h.a = failure(err, true)
			return
		}
		t.host = req.host
		h.do(t, req.withCookies(jar))
		t.extra += max(h.a.sends-1, 0)
		if h.f.opt.Redirects == 0 || h.a.err != "" || !redirects(h.a.code) || h.a.location == "" {
			return
		}
		if t.hops >= h.f.opt.Redirects {
			h.a.final = true
			h.a.err, h.a.msg = result.ClassStatus, fmt.Sprintf("more than %d redirects", h.f.opt.Redirects)
			return
		}
		next, err := req.next(h.a.code, h.a.location)
		if err != nil {
			h.a.final = true
			h.a.err, h.a.msg = result.ClassProtocol, err.Error()
			return
		}
		if len(h.a.cookies) > 0 {
			if jar == nil {
				jar, _ = cookiejar.New(nil) // which never fails
			}
			keepCookies(jar, req, h.a.cookies)
		}
		t.hops++
		t.began = time.Now()
		t.url = string(next.url)
		req = next
	}
}
