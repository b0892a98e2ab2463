package fetch

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/glassq/glassq/result"
)

// redirects reports whether code sends the client elsewhere.
func redirects(code int) bool {
	switch code {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// credentials are headers that go only to the scheme, host and port they were meant for.
var credentials = []string{"Authorization", "Cookie", "Cookie2", "Proxy-Authorization", "Www-Authenticate"}

// next is the request that follows req when it was answered with code and location. As browsers do it,
// 303 makes a GET of everything but HEAD, 301 and 302 of POST; 307 and 308 send the same again.
func (r *request) next(code int, location string) (*request, error) {
	from, err := url.Parse(string(r.url))
	if err != nil {
		return nil, bare(err)
	}
	to, err := from.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("the redirect goes to no URL: %w", bare(err))
	}
	if from.Fragment != "" && to.Fragment == "" {
		to.Fragment = from.Fragment
	}
	n := &request{method: r.method, header: r.header, body: r.body, timeout: r.timeout}
	if strings.HasPrefix(r.odd, oddHeader) || r.odd == oddMethod {
		n.odd = r.odd
	}
	switch {
	case code == http.StatusSeeOther && r.method != http.MethodHead, code < http.StatusSeeOther && r.method == http.MethodPost:
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

// chain sends req and goes where redirects lead, for up to Options.Redirects hops, and leaves the last answer in h.a.
func (h *handler) chain(t *turn, req *request) {
	for {
		if err := h.f.guard.host(req.host); err != nil {
			h.a = failure(err, true)
			return
		}
		h.do(t, req)
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
		t.hops++
		t.began = time.Now()
		t.url = string(next.url)
		req = next
	}
}
