package httpdoor

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/dashboard"
)

// guard refuses what a web page may send from its visitor's browser: to a Host name that is not
// ours, or from another site, unless it is a link that somebody follows; and changes in the content
// types that need no leave of ours. No answer gives such leave: there is no CORS.
func (s *Server) guard(r *http.Request) error {
	if !s.hostAllowed(r.Host) {
		return glassq.Errorf(glassq.CodeForbidden,
			"host %.80q is not allowed; use localhost, an IP address, or a name the server was told to serve (serve --host)", r.Host)
	}
	as := *r
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
	if safe && !followsLink(r) {
		as.Method = http.MethodPost // so that it is held to the same
	}
	if s.origin.Check(&as) != nil {
		return glassq.Errorf(glassq.CodeForbidden, "cross-site requests are refused")
	}
	if !safe && ofBrowser(r) && !asks(r) && !s.isForm(r) {
		return glassq.Errorf(glassq.CodeForbidden,
			"from a browser a change is sent as application/json or application/x-ndjson, not as %.60q", r.Header.Get("Content-Type"))
	}
	return nil
}

// isForm tells whether r is a form for the dashboard, which looks for the token that its pages put
// into it.
func (s *Server) isForm(r *http.Request) bool {
	if mediaType(r) != "application/x-www-form-urlencoded" {
		return false
	}
	_, pattern := s.mux.Handler(r)
	return slices.Contains(dashboard.Patterns, pattern)
}

// followsLink tells that a person goes to another page, and that its answer is shown as such, not
// within a frame.
func followsLink(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
		r.Header.Get("Sec-Fetch-Dest") == "document"
}

// ofBrowser tells whether r bears a mark that no page can take off.
func ofBrowser(r *http.Request) bool {
	h := r.Header
	return h.Get("Origin") != "" || h.Get("Sec-Fetch-Site") != "" || strings.HasPrefix(h.Get("User-Agent"), "Mozilla/")
}

// asks tells whether the content type of r is one for which a browser asks for leave, if its page
// is of another site.
func asks(r *http.Request) bool {
	switch mediaType(r) {
	case "":
		return r.ContentLength == 0 // a change without a body is held to its origin
	case "text/plain", "application/x-www-form-urlencoded", "multipart/form-data":
		return false
	}
	return true
}

// hostAllowed defends against DNS rebinding: a hostile page whose own name resolves to this machine
// counts as same-origin in the browser, but its requests carry that name in Host. An address cannot
// be rebound, so all addresses are fine; of names only localhost, those of Options.Hosts and those
// of the certificate are. A request without a Host, as of a health check that speaks HTTP/1.0, is of
// no browser.
func (s *Server) hostAllowed(hostport string) bool {
	if hostport == "" {
		return true
	}
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	addr, _, _ := strings.Cut(host, "%")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(addr) != nil {
		return true
	}
	is := func(h string) bool { return h == "*" || strings.EqualFold(h, host) || strings.EqualFold(h, hostport) }
	return slices.ContainsFunc(s.hosts, is) || s.names != nil && slices.ContainsFunc(s.names(), is)
}
