// Package cert makes, checks and follows the certificates of a server, and says what is wrong with
// one in a sentence.
//
// It makes a private authority and certificates for a first cluster of machines; whoever has an
// authority of their own needs none of that. It knows files and crypto/x509; it knows no door.
package cert

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// Ahead is how long before its end a certificate is warned of.
	Ahead = 14 * 24 * time.Hour

	lookEvery = time.Second    // how often the files are looked at, at most
	sayEvery  = 24 * time.Hour // how often a server says again what is wrong
)

// modern are the suites of TLS 1.2 that are as good as those of 1.3, which cannot be chosen.
var modern = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Options are the files of a server, and what it asks of its clients.
type Options struct {
	Cert, Key string       // PEM files
	ClientCA  string       // PEM file of the authorities of client certificates, which are demanded then; "" for none
	TLS12     bool         // 1.2 is enough, with modern suites; else 1.3 is needed
	Names     []string     // by which clients call the server, as far as that is known
	Log       *slog.Logger // nil discards
}

// A Server is the certificate of a server, which is read again when its files change. It is safe
// for concurrent use.
type Server struct {
	clients *x509.CertPool // nil: none are demanded

	mu      sync.Mutex
	opt     Options // of which TLS12 never changes. Guarded by mu, as all that follows
	pair    *tls.Certificate
	seen    [2]time.Time // of the files, when they were read
	look    time.Time    // when they are looked at next
	say     time.Time    // when it is said next what is wrong
	failing bool         // the last look could not read them
}

// Open reads the certificate of a server.
func Open(opt Options) (*Server, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opt: opt, say: time.Now().Add(sayEvery)}
	var err error
	if s.pair, s.seen, err = s.read(); err != nil {
		return nil, err
	}
	if opt.ClientCA == "" {
		return s, nil
	}
	text, err := os.ReadFile(opt.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("read the authorities of clients: %w", err)
	}
	if s.clients = x509.NewCertPool(); !s.clients.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", opt.ClientCA)
	}
	return s, nil
}

// read reads the files, and says when they were written.
func (s *Server) read() (pair *tls.Certificate, seen [2]time.Time, err error) {
	for i, path := range []string{s.opt.Cert, s.opt.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return nil, seen, fmt.Errorf("read the certificate: %w", err)
		}
		seen[i] = info.ModTime()
	}
	p, err := tls.LoadX509KeyPair(s.opt.Cert, s.opt.Key)
	switch {
	case err != nil && strings.Contains(err.Error(), "does not match"):
		return nil, seen, fmt.Errorf("%s is not the key of the certificate in %s", s.opt.Key, s.opt.Cert)
	case err != nil:
		return nil, seen, fmt.Errorf("read the certificate %s and its key %s: %w", s.opt.Cert, s.opt.Key, err)
	}
	return &p, seen, nil
}

// Config is what a door needs of it. A certificate whose files change is served from the next
// second on.
func (s *Server) Config() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: s.get}
	if s.opt.TLS12 {
		c.MinVersion, c.CipherSuites = tls.VersionTLS12, modern
	}
	if s.clients != nil {
		c.ClientCAs, c.ClientAuth = s.clients, tls.RequireAndVerifyClientCert
	}
	return c
}

// Adopt serves the certificate of other, which was read from files of its own or the same, and goes
// by these from then on. It returns false when it is the same certificate. The authorities of
// clients and the version of TLS stay.
func (s *Server) Adopt(other *Server) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opt.Cert, s.opt.Key, s.opt.Names = other.opt.Cert, other.opt.Key, other.opt.Names
	same := slices.EqualFunc(s.pair.Certificate, other.pair.Certificate, bytes.Equal)
	s.pair, s.seen, s.failing, s.say = other.pair, other.seen, false, time.Now().Add(sayEvery)
	return !same
}

// Names are those that the certificate is for, without addresses.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pair.Leaf.DNSNames
}

func (s *Server) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); !now.Before(s.look) {
		s.look = now.Add(lookEvery)
		s.again(now)
	}
	return s.pair, nil
}

// again reads files that have changed; the caller holds mu. Those that cannot be read, as one of a
// pair that is being replaced, are tried again.
func (s *Server) again(now time.Time) {
	var seen [2]time.Time
	for i, path := range []string{s.opt.Cert, s.opt.Key} {
		if info, err := os.Stat(path); err == nil {
			seen[i] = info.ModTime()
		}
	}
	if seen != s.seen {
		pair, seen, err := s.read()
		switch {
		case err == nil:
			s.pair, s.seen, s.failing, s.say = pair, seen, false, now
			s.opt.Log.Info("certificate read anew", "file", s.opt.Cert)
		case s.failing:
			if !now.Before(s.say) {
				s.opt.Log.Error("the certificate is that of before: its files cannot be used", "err", err)
				s.say = now.Add(time.Minute)
			}
			return
		default:
			s.failing, s.say = true, now
			return
		}
	}
	if !now.Before(s.say) {
		s.say = now.Add(sayEvery)
		for _, f := range s.Check(now) {
			s.opt.Log.Warn("the certificate is doubtful", "file", s.opt.Cert, "err", f.Text)
		}
	}
}

// A Finding is something wrong with a certificate.
type Finding struct {
	Fatal bool // clients refuse it
	Text  string
}

// Check says what is wrong with the certificate at a time, or soon will be. Of a Server in use it
// is called with mu held; before that it needs none.
func (s *Server) Check(now time.Time) (found []Finding) {
	add := func(fatal bool, format string, args ...any) {
		found = append(found, Finding{fatal, fmt.Sprintf(format, args...)})
	}
	leaf := s.pair.Leaf
	switch {
	case now.Before(leaf.NotBefore):
		add(true, "it is not valid before %s; is the clock right?", day(leaf.NotBefore))
	case now.After(leaf.NotAfter):
		add(true, "it expired on %s: make a new one", day(leaf.NotAfter))
	case now.Add(Ahead).After(leaf.NotAfter):
		add(false, "it expires on %s, in %d days: make a new one, which is taken without a restart", day(leaf.NotAfter),
			int(leaf.NotAfter.Sub(now).Hours()/24))
	}
	if nameless(leaf) {
		add(true, "it has no subject alternative name, and clients do not look at the common name %q: make one with its host names in it", leaf.Subject.CommonName)
	} else {
		for _, name := range s.opt.Names {
			if leaf.VerifyHostname(name) != nil {
				add(false, "it is not for %s, but for %s", name, strings.Join(namesOf(leaf), ", "))
			}
		}
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		add(true, "it is not for servers (extended key usage)")
	}
	signed := leaf
	for i, der := range s.pair.Certificate[1:] {
		signer, err := x509.ParseCertificate(der)
		if err != nil || signed.CheckSignatureFrom(signer) != nil {
			add(true, "certificate %d of the file did not sign the one before it: put the server's first, then each one's signer", i+2)
			break
		}
		if now.After(signer.NotAfter) {
			add(true, "the certificate of its signer, %s, expired on %s", signer.Subject, day(signer.NotAfter))
		}
		signed = signer
	}
	return found
}

// Says is what the certificate is for, and until when.
func (s *Server) Says() string {
	leaf := s.pair.Leaf
	return fmt.Sprintf("certificate for %s, valid until %s", strings.Join(namesOf(leaf), ", "), day(leaf.NotAfter))
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func nameless(c *x509.Certificate) bool {
	return len(c.DNSNames) == 0 && len(c.IPAddresses) == 0
}

func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// An Error is a connection that failed for want of TLS, or of trust: the sentence says the cause
// and the cure, and trying again mends nothing.
type Error struct {
	Text string
	Err  error
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Err }

// Explain says why a client could not connect to a server with TLS; nil for other reasons. The
// cures name the flags of the commands.
func Explain(err error) *Error {
	say := func(format string, args ...any) *Error { return &Error{fmt.Sprintf(format, args...), err} }
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return say("the server's certificate is signed by an authority that is not trusted here: name the file with the authority's certificate with --ca")
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired && e.Cert != nil {
		if time.Now().Before(e.Cert.NotBefore) {
			return say("the server's certificate is not valid before %s: set the clocks of both machines, or wait", day(e.Cert.NotBefore))
		}
		return say("the certificate of %s expired on %s: the server needs a new one (glassq cert new makes one)",
			e.Cert.Subject, day(e.Cert.NotAfter))
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		if nameless(e.Certificate) {
			return say("the server's certificate has no subject alternative name, only the common name %q, which does not count: make one with glassq cert new %s",
				e.Certificate.Subject.CommonName, e.Host)
		}
		return say("the server's certificate is for %s, not for %s: name the server so, or make a certificate for that name",
			strings.Join(namesOf(e.Certificate), ", "), e.Host)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return say("the server does not speak TLS on this port: write http:// instead of https://")
	}
	// The alert of a server is of a type that crypto/tls keeps for itself.
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		switch e.Err.Error() {
		case "tls: certificate required":
			return say("the server demands a client certificate: name one with --client-cert and --client-key")
		case "tls: bad certificate", "tls: unknown certificate authority", "tls: expired certificate", "tls: unknown certificate":
			return say("the server does not accept this client certificate (%v): it needs a valid one of the authority that serve --client-ca names", e.Err)
		case "tls: protocol version not supported":
			return say("the server wants a newer version of TLS than this client has")
		case "tls: no application protocol":
			return say("the server has no Python manager door behind this port: serve needs --manager, --key-file or --token-file, and --tls-cert")
		}
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return say("the server's certificate is not accepted: %v", e.Err)
	}
	return nil
}

// IsPlainOnTLS tells whether an answer is what a server says that got HTTP on a port for TLS.
func IsPlainOnTLS(status int, body []byte) bool {
	return status == 400 && strings.Contains(string(body[:min(len(body), 200)]), "HTTP request to an HTTPS server")
}

// Trust returns a copy of c that trusts the authorities in a PEM file, too, beside those of c or,
// where it has none, of the system. c may be nil, and "" is no file.
func Trust(c *tls.Config, file string) (*tls.Config, error) {
	c = c.Clone()
	if file == "" {
		return c, nil
	}
	if c == nil {
		c = new(tls.Config)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	pool := c.RootCAs
	if pool == nil {
		if pool, err = x509.SystemCertPool(); err != nil {
			pool = x509.NewCertPool()
		}
	} else {
		pool = pool.Clone()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	c.RootCAs = pool
	return c, nil
}

// hostsOf splits a list of names and addresses.
func hostsOf(names []string) (dns []string, ips []net.IP) {
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, name)
		}
	}
	return dns, ips
}
