package cert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// made is a server with a new certificate for names.
func made(t *testing.T, opt Options, names ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	ca, err := OpenAuthority(dir, time.Now())
	if err == nil {
		opt.Cert, opt.Key, err = ca.ForHost(dir, names, time.Now(), 30*24*time.Hour)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCheck(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name, says string
		at         time.Time
		fatal      bool
	}{
		{"good", "", now, false},
		{"two weeks ahead", "", now.Add(30*24*time.Hour - Ahead - time.Minute), false},
		{"less than that", "in 13 days", now.Add(30*24*time.Hour - Ahead + time.Hour), false},
		{"expired", "expired on", now.Add(31 * 24 * time.Hour), true},
		{"early", "not valid before", now.Add(-2 * time.Hour), true},
	} {
		found := made(t, Options{Names: []string{"a.example", "10.0.0.1"}}, "a.example", "10.0.0.1").Check(tt.at)
		if tt.says == "" && len(found) == 0 {
			continue
		}
		if len(found) != 1 || !strings.Contains(found[0].Text, tt.says) || found[0].Fatal != tt.fatal {
			t.Errorf("%s: %+v; want %q", tt.name, found, tt.says)
		}
	}
	found := made(t, Options{Names: []string{"b.example"}}, "a.example").Check(now)
	if len(found) != 1 || found[0].Fatal || !strings.Contains(found[0].Text, "not for b.example, but for a.example") {
		t.Errorf("another name: %+v", found)
	}
}

// TestAgain: files that change are read, and half of a pair, or none, leaves what was there.
func TestAgain(t *testing.T) {
	s := made(t, Options{}, "a.example")
	serial := func() string {
		s.look = time.Time{}
		c, err := s.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.String()
	}
	first, future := serial(), time.Now().Add(time.Hour)
	other := made(t, Options{}, "a.example")
	for _, move := range []struct{ from, to string }{{other.opt.Cert, s.opt.Cert}, {other.opt.Key, s.opt.Key}} {
		if serial() != first {
			t.Error("half a pair is served")
		}
		if err := errors.Join(os.Rename(move.from, move.to), os.Chtimes(move.to, future, future)); err != nil {
			t.Fatal(err)
		}
	}
	second := serial()
	if second == first {
		t.Error("a new pair is not served")
	}
	if err := os.Remove(s.opt.Key); err != nil {
		t.Fatal(err)
	}
	if serial() != second {
		t.Error("without its files another certificate is served")
	}
}

// TestAdopt: a server takes the certificate of another one, says whether it is another, and follows
// its files from then on.
func TestAdopt(t *testing.T) {
	s, other := made(t, Options{}, "a.example"), made(t, Options{}, "b.example")
	again, err := Open(s.opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		from    *Server
		changed bool
		serves  string
	}{
		{"the same files", again, false, "a.example"},
		{"others", other, true, "b.example"},
		{"the same others", other, false, "b.example"},
		{"back", again, true, "a.example"},
		{"others again", other, true, "b.example"},
	} {
		if changed := s.Adopt(tt.from); changed != tt.changed {
			t.Errorf("%s: Adopt = %t, want %t", tt.name, changed, tt.changed)
		}
		s.look = time.Time{}
		c, err := s.get(nil)
		if err != nil || c.Leaf.DNSNames[0] != tt.serves || s.Names()[0] != tt.serves {
			t.Errorf("%s: serves %v, %v, names %v; want %s", tt.name, c.Leaf.DNSNames, err, s.Names(), tt.serves)
		}
	}
	third, future := made(t, Options{}, "c.example"), time.Now().Add(time.Hour)
	for _, move := range []struct{ from, to string }{{third.opt.Cert, other.opt.Cert}, {third.opt.Key, other.opt.Key}} {
		if err := errors.Join(os.Rename(move.from, move.to), os.Chtimes(move.to, future, future)); err != nil {
			t.Fatal(err)
		}
	}
	s.look = time.Time{}
	if c, err := s.get(nil); err != nil || c.Leaf.DNSNames[0] != "c.example" {
		t.Errorf("after new files: serves %v, %v; want c.example", c.Leaf.DNSNames, err)
	}
}

func TestAuthority(t *testing.T) {
	dir := t.TempDir()
	a, err := OpenAuthority(dir, time.Now())
	if err != nil || !a.Made {
		t.Fatal(a, err)
	}
	again, err := OpenAuthority(dir, time.Now())
	if err != nil || again.Made || !again.cert.Equal(a.cert) {
		t.Errorf("the authority of before = %+v, %v", again, err)
	}
	if _, _, err := a.ForHost(dir, []string{"x"}, time.Now(), 2*authorityLife); err == nil {
		t.Error("a certificate outlives its authority")
	}
	info, err := os.Stat(filepath.Join(dir, "ca-key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the authority's key: %v, %v", info, err)
	}
	if err := os.Remove(filepath.Join(dir, "ca-key.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(dir, time.Now()); err == nil {
		t.Error("an authority without its key is replaced")
	}
}

func TestExplain(t *testing.T) {
	remote := func(text string) error { return &net.OpError{Op: "remote error", Err: errors.New(text)} }
	for _, tt := range []struct {
		err  error
		says string
	}{
		{errors.New("connection refused"), ""},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "--ca"},
		{tls.RecordHeaderError{}, "http://"},
		{remote("tls: certificate required"), "--client-cert"},
		{remote("tls: unknown certificate authority"), "--client-ca"},
		{remote("tls: protocol version not supported"), "newer version"},
		{remote("tls: no application protocol"), "manager door"},
		{&tls.CertificateVerificationError{Err: errors.New("other")}, "not accepted: other"},
	} {
		e := Explain(tt.err)
		if (e == nil) != (tt.says == "") || e != nil && !strings.Contains(e.Text, tt.says) {
			t.Errorf("Explain(%v) = %v; want %q", tt.err, e, tt.says)
		}
	}
}
