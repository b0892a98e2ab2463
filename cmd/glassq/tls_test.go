//go:build unix

package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cert"
)

// certs makes certificates with glassq cert new in a new folder.
func certs(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "certs")
	if _, errs, code := invoke(t, "", nil, append([]string{"cert", "new", "--dir", dir}, args...)...); code != 0 {
		t.Fatalf("cert new = %d, %s", code, errs)
	}
	return dir
}

// old makes the certificates of a server as they would have been made at a time.
func old(t *testing.T, at time.Time, life time.Duration) (dir string) {
	t.Helper()
	dir = t.TempDir()
	ca, err := cert.OpenAuthority(dir, at)
	if err == nil {
		_, _, err = ca.ForHost(dir, []string{"localhost", "127.0.0.1"}, at, life)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// serveTLS starts a server with the certificate of a folder, and returns the port of its HTTP door.
func serveTLS(t *testing.T, dir, name string, more ...string) (p *process, port string) {
	t.Helper()
	p = start(t, nil, append([]string{"serve", "--store", "mem:", "--http", "127.0.0.1:0",
		"--key-file", write(t, filepath.Join(t.TempDir(), "key"), "the key of the server"),
		"--tls-cert", filepath.Join(dir, name+".pem"), "--tls-key", filepath.Join(dir, name+"-key.pem")}, more...)...)
	_, port, _ = strings.Cut(p.addr(), ":")
	return p, port
}

// TestCauses: each reason for which a client does not get on with a server has its sentence, and
// exit code 6.
func TestCauses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := certs(t, "localhost,127.0.0.1", "queue.example", "--client", "ci")
	expired := old(t, now.Add(-100*24*time.Hour), 90*24*time.Hour)
	early := old(t, now.Add(100*24*time.Hour), 90*24*time.Hour)
	ca := func(dir string) string { return filepath.Join(dir, "ca.pem") }
	_, ok := serveTLS(t, good, "localhost")
	_, named := serveTLS(t, good, "queue.example")
	_, nameless := serveTLS(t, good, "ci") // a certificate of a client has a common name alone
	_, late := serveTLS(t, expired, "localhost")
	_, soon := serveTLS(t, early, "localhost")
	_, demands := serveTLS(t, good, "localhost", "--client-ca", ca(good), "--token-file", newTokens(t))
	plain := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0").addr()
	key := write(t, filepath.Join(t.TempDir(), "key"), "the key of the server")
	wrong := write(t, filepath.Join(t.TempDir(), "key"), "the key of another one")
	const local = "https://localhost:"
	for _, tt := range []struct{ name, server, ca, key, says string }{
		{"no key", local + ok, ca(good), "", "needs a key"},
		{"no key", local + ok, ca(good), "", "--key-file"},
		{"a wrong key", local + ok, ca(good), wrong, "it is wrong, or was revoked"},
		{"no authority", local + ok, "", key, "--ca"},
		{"another authority", local + ok, ca(expired), key, "--ca"},
		{"http to TLS", "http://localhost:" + ok, "", key, "write https://"},
		{"https to none", "https://" + plain, "", key, "write http://"},
		{"another name", local + named, ca(good), key, "is for queue.example, not for localhost"},
		{"a common name alone", local + nameless, ca(good), key, "no subject alternative name"},
		{"expired", local + late, ca(expired), key, "expired on"},
		{"not yet valid", local + soon, ca(early), key, "not valid before"},
		{"no client certificate", local + demands, ca(good), key, "--client-cert"},
	} {
		args := []string{"queue", "ls", "--server", tt.server}
		for flag, value := range map[string]string{"--ca": tt.ca, "--key-file": tt.key} {
			if value != "" {
				args = append(args, flag, value)
			}
		}
		_, errs, code := invoke(t, "", nil, args...)
		if code != exitServer || !strings.Contains(errs, tt.says) || strings.Contains(errs, "start one with") {
			t.Errorf("%s: exit %d, %s; want 6 and %q", tt.name, code, errs, tt.says)
		}
		if strings.Contains(errs, "--key-file") != (tt.key == "") {
			t.Errorf("%s: %s; only who sent no key is told of --key-file", tt.name, errs)
		}
	}
	if out, errs, code := invoke(t, "", nil, "queue", "ls", "--server", local+ok, "--ca", ca(good), "--key-file", key); code != 0 {
		t.Errorf("what is right = %d, %s%s", code, out, errs)
	}
}

// newTokens is a file with a token ci.
func newTokens(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens")
	if _, errs, code := invoke(t, "", nil, "token", "new", "ci", "--may", "put", "--token-file", file); code != 0 {
		t.Fatal(errs)
	}
	return file
}

// TestKeyFileWarnings: a key that others can know is warned of, by the server and by clients.
func TestKeyFileWarnings(t *testing.T) {
	t.Parallel()
	key := write(t, filepath.Join(t.TempDir(), "key"), "short")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0", "--key-file", key)
	url := "http://" + s.addr()
	_, errs, code := invoke(t, "", nil, "queue", "ls", "--server", url, "--key-file", key)
	for who, said := range map[string]string{"serve": s.said(), "queue ls": errs} {
		for _, want := range []string{"warning: key file", "others on this machine can read it", "5 bytes can be guessed"} {
			if !strings.Contains(said, want) || code != 0 {
				t.Errorf("%s = %d, %s; want %q", who, code, said, want)
			}
		}
	}
}

// TestCertificateIsChecked: serve and doctor say what is wrong with a certificate, and doctor fails
// where clients would.
func TestCertificateIsChecked(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := certs(t, "localhost", "other")
	file := func(dir, name string) string { return filepath.Join(dir, name) }
	chain := write(t, file(good, "chain.pem"), readText(t, file(good, "localhost.pem"))+"\n"+readText(t, file(good, "other.pem"))+"\n")
	near, gone := old(t, now, 10*24*time.Hour), old(t, now.Add(-90*24*time.Hour), 30*24*time.Hour)
	for _, tt := range []struct {
		name, cert, key, says string
		doctor                int
		starts                bool
	}{
		{"good", file(good, "localhost.pem"), file(good, "localhost-key.pem"), "certificate for localhost, valid until", 0, true},
		{"another key", file(good, "localhost.pem"), file(good, "other-key.pem"), "is not the key of the certificate", 1, false},
		{"a wrong chain", chain, file(good, "localhost-key.pem"), "did not sign the one before it", 1, true},
		{"near its end", file(near, "localhost.pem"), file(near, "localhost-key.pem"), "expires on", 0, true},
		{"expired", file(gone, "localhost.pem"), file(gone, "localhost-key.pem"), "it expired on", 1, true},
		{"no name", file(certs(t, "--client", "ci"), "ci.pem"), "", "no subject alternative name", 1, true},
	} {
		if tt.key == "" {
			tt.key = strings.TrimSuffix(tt.cert, ".pem") + "-key.pem"
		}
		env := []string{"GLASSQ_TLS_CERT=" + tt.cert, "GLASSQ_TLS_KEY=" + tt.key, "GLASSQ_HTTP=127.0.0.1:0"}
		out, errs, code := invoke(t, "", env, "doctor", "--data", t.TempDir())
		if code != tt.doctor || !strings.Contains(out, tt.says) {
			t.Errorf("%s: doctor = %d, %s%s; want %d and %q", tt.name, code, out, errs, tt.doctor, tt.says)
		}
		if !tt.starts {
			if _, errs, code := invoke(t, "", env, "serve", "--store", "mem:"); code != exitUsage || !strings.Contains(errs, tt.says) {
				t.Errorf("%s: serve = %d, %s", tt.name, code, errs)
			}
			continue
		}
		s := start(t, env, "serve", "--store", "mem:")
		s.addr()
		if warned := strings.Contains(s.said(), "warning: certificate"); warned != (tt.name != "good") ||
			warned && !strings.Contains(s.said(), tt.says) {
			t.Errorf("%s: serve said %s", tt.name, s.said())
		}
	}
}

// TestCertificateIsFollowed: a new certificate is served without a restart, and half of one is not.
func TestCertificateIsFollowed(t *testing.T) {
	t.Parallel()
	dir := certs(t, "localhost")
	_, port := serveTLS(t, dir, "localhost")
	config, err := cert.Trust(nil, filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		t.Helper()
		c, err := tls.Dial("tcp", "localhost:"+port, config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if v := c.ConnectionState().Version; v != tls.VersionTLS13 {
			t.Fatalf("version %x", v)
		}
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	if _, errs, code := invoke(t, "", nil, "cert", "new", "localhost", "--dir", dir); code != 0 {
		t.Fatal(errs)
	}
	for serial() == first { // until a second has passed
		if t.Context().Err() != nil {
			t.Fatal("the new certificate is not served")
		}
	}
}

// TestTLSVersions: 1.2 is refused unless it was asked for, and has modern suites then.
func TestTLSVersions(t *testing.T) {
	t.Parallel()
	dir := certs(t, "localhost")
	for _, tt := range []struct {
		name string
		args []string
		conf *tls.Config
		ok   bool
	}{
		{"1.2 by default", nil, &tls.Config{MaxVersion: tls.VersionTLS12}, false},
		{"1.2 where it is enough", []string{"--tls-min", "1.2"}, &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"1.2 with an old suite", []string{"--tls-min", "1.2"}, &tls.Config{MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
	} {
		_, port := serveTLS(t, dir, "localhost", tt.args...)
		config, err := cert.Trust(tt.conf, filepath.Join(dir, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := tls.Dial("tcp", "localhost:"+port, config)
		if err == nil {
			c.Close()
		}
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v; want it to work: %v", tt.name, err, tt.ok)
		}
	}
}

// TestClientCertificates: the name of a client's certificate is that of its token, over HTTP and
// memcached.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	dir := certs(t, "localhost", "--client", "ci", "--client", "nobody")
	lines := freeAddress(t)
	_, port := serveTLS(t, dir, "localhost", "--client-ca", filepath.Join(dir, "ca.pem"), "--token-file", newTokens(t),
		"--memcached", lines)
	whoami := func(name string) (string, string, int) {
		return invoke(t, "", nil, "token", "whoami", "--server", "https://localhost:"+port, "--ca", filepath.Join(dir, "ca.pem"),
			"--client-cert", filepath.Join(dir, name+".pem"), "--client-key", filepath.Join(dir, name+"-key.pem"))
	}
	if out, errs, code := whoami("ci"); code != 0 || !strings.HasPrefix(out, "ci may put") {
		t.Errorf("a client with a certificate = %d, %s%s", code, out, errs)
	}
	if out, errs, code := whoami("nobody"); code != exitServer || !strings.Contains(errs, "no valid token has that name") {
		t.Errorf("a client without a token = %d, %s%s", code, out, errs)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "ci.pem"), filepath.Join(dir, "ci-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := cert.Trust(&tls.Config{Certificates: []tls.Certificate{pair}, ServerName: "localhost"}, filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := tls.Dial("tcp", lines, config)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, x := range []struct{ send, want string }{
		{"set q 0 0 1\r\nx\r\n", "STORED\r\n"}, {"get q\r\n", "CLIENT_ERROR forbidden: token ci lacks the scope work for q\r\n"}} {
		got := make([]byte, len(x.want))
		fmt.Fprint(nc, x.send)
		if n, err := nc.Read(got); err != nil || string(got[:n]) != x.want {
			t.Errorf("%q = %q, %v; want %q", x.send, got[:n], err, x.want)
		}
	}
}

// TestTunnel: Python programs reach the manager door over TLS, as ends of connections do; a revoked
// token ends them.
func TestTunnel(t *testing.T) {
	t.Parallel()
	pythons := pythons(t)
	dir, file, manager := certs(t, "localhost"), newTokens(t), freeAddress(t)
	out, errs, code := invoke(t, "", nil, "token", "new", "py", "--may", "work,put", "--manager", "--token-file", file)
	if code != 0 {
		t.Fatal(errs)
	}
	token := "MANAGER_KEY=" + strings.TrimSpace(out)
	_, port := serveTLS(t, dir, "localhost", "--manager", manager, "--token-file", file)
	url, ca := "https://localhost:"+port, filepath.Join(dir, "ca.pem")
	c, err := client.New(url, client.Options{Key: "the key of the server", CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	config, err := cert.Trust(nil, ca)
	if err != nil {
		t.Fatal(err)
	}
	web := http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
	defer web.CloseIdleConnections()
	if resp, err := web.Get(url + "/livez"); err != nil || resp.ProtoMajor != 2 {
		t.Errorf("HTTP/2 beside the tunnel: %+v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if _, errs, code := invoke(t, "", nil, "tunnel", "--server", url, "--listen", "127.0.0.1:0"); code != exitServer ||
		!strings.Contains(errs, "--ca") {
		t.Errorf("a tunnel without the authority = %d, %s", code, errs)
	}
	addr := start(t, nil, "tunnel", "--server", url, "--ca", ca, "--listen", "127.0.0.1:0").addr()
	for _, path := range pythons {
		p := &pythonClient{t: t, cmd: python(t, path, addr, "testdata/manager_modes.py", "wait")}
		p.cmd.Env = append(p.cmd.Env, token)
		p.start()
		p.says("ready")
		settled(t, c, "tasks", func(q glassq.QueueInfo) bool { return q.Waiters == 1 })
		p.kill()
		settled(t, c, "tasks", func(q glassq.QueueInfo) bool { return q.Waiters == 0 && q.Leased == 0 })
	}
	p := &pythonClient{t: t, cmd: python(t, pythons[0], addr, "testdata/manager_modes.py", "wait")}
	p.cmd.Env = append(p.cmd.Env, token)
	p.start()
	p.says("ready")
	settled(t, c, "tasks", func(q glassq.QueueInfo) bool { return q.Waiters == 1 })
	if _, errs, code := invoke(t, "", nil, "token", "revoke", "py", "--token-file", file); code != 0 {
		t.Fatal(errs)
	}
	if err := p.cmd.Wait(); err == nil {
		t.Error("a program whose token was revoked ended well")
	}
	settled(t, c, "tasks", func(q glassq.QueueInfo) bool { return q.Waiters == 0 })
}
