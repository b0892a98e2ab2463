//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReload: SIGHUP and glassq reload read the settings again; neither ends the server, nor does a
// fault in the file.
func TestReload(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("SIGHUP is ignored, as under nohup, and so by what is started here")
	}
	t.Parallel()
	file := filepath.Join(t.TempDir(), "c.toml")
	write(t, file, "[serve]\nlog-level = \"warn\"\n")
	s := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0", "--config", file)
	env := []string{"GLASSQ_SERVER=http://" + s.addr()}
	for _, tt := range []struct {
		name, text string
		code       int
		want       string
	}{
		{"nothing", "[serve]\nlog-level = \"warn\"\n", 0, "nothing has changed\n"},
		{"level", "[serve]\nlog-level = \"error\"\n", 0, "changed: log-level\n"},
		{"again", "[serve]\nlog-level = \"error\"\n", 0, "nothing has changed\n"},
		{"needs a restart", "[serve]\nlog-level = \"info\"\nmax-body = \"1MiB\"\nsync = \"never\"\n", 0,
			"changed: log-level, max-body; only a restart changes sync\n"},
		{"a flag wins", "[serve]\nlog-level = \"info\"\nmax-body = \"1MiB\"\nstore = \"nats:\"\n", 0, "nothing has changed\n"},
		{"no such level", "[serve]\nlog-level = \"loud\"\n", exitUsage, "the settings stay as they are: --log-level loud is not one of"},
		{"misspelt", "[serve]\nlog-levl = \"warn\"\n", exitUsage, "line 2: there is no setting log-levl in [serve]"},
	} {
		write(t, file, tt.text)
		out, errs, code := invoke(t, "", env, "reload")
		if said := out + errs; code != tt.code || !strings.Contains(said, tt.want) {
			t.Errorf("%s: exit %d, %q; want %d, %q", tt.name, code, said, tt.code, tt.want)
		}
	}
	write(t, file, "[serve]\nlog-level = \"debug\"\n")
	s.cmd.Process.Signal(syscall.SIGHUP)
	for !strings.Contains(s.said(), "glassq serve: reload: changed: log-level\n") {
		select {
		case <-s.done:
			t.Fatalf("serve ended by SIGHUP: %s", s.said())
		case <-time.After(10 * time.Millisecond):
		}
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if code := s.wait(); code != 0 {
		t.Errorf("SIGTERM: exit %d, want 0", code)
	}
}

// TestReloadFiles: a reload reads the key again, and the limits; with a fault in one file nothing
// changes.
func TestReloadFiles(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("SIGHUP is ignored, as under nohup, and so by what is started here")
	}
	t.Parallel()
	dir := t.TempDir()
	key, file := write(t, filepath.Join(dir, "key"), "the first key"), filepath.Join(dir, "c.toml")
	write(t, file, "[serve]\nkey-file = \""+key+"\"\n")
	s := start(t, nil, "serve", "--data", filepath.Join(dir, "d"), "--http", "127.0.0.1:0", "--config", file)
	url := "http://" + s.addr()
	put := func(key, body string, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/v1/queues/q/tasks", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", "text/plain")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("put of %d bytes with %s: status %d, want %d", len(body), key, resp.StatusCode, want)
		}
	}
	lines := 0
	hangup := func(want string) {
		t.Helper()
		s.cmd.Process.Signal(syscall.SIGHUP)
		for lines++; strings.Count(s.said(), "glassq serve: reload: ") < lines; {
			select {
			case <-s.done:
				t.Fatalf("serve ended by SIGHUP: %s", s.said())
			case <-time.After(10 * time.Millisecond):
			}
		}
		_, last, _ := strings.Cut(s.said()[strings.LastIndex(s.said(), "glassq serve: reload: "):], "reload: ")
		if !strings.HasPrefix(last, want) {
			t.Errorf("reload said %q, want %q", last, want)
		}
	}
	put("the first key", "12345678", 200)
	write(t, key, "the second key")
	hangup("changed: key-file\n")
	put("the first key", "1234", 401)
	put("the second key", "12345678", 200)
	write(t, file, "[serve]\nkey-file = \""+key+"\"\nmax-body = \"4B\"\nmin-free = \"0\"\n")
	hangup("changed: max-body, min-free\n")
	put("the second key", "1234", 200)
	put("the second key", "12345678", 413)
	write(t, file, "[serve]\nkey-file = \""+filepath.Join(dir, "nowhere")+"\"\nmax-body = \"8B\"\n")
	hangup("the settings stay as they are: ")
	put("the second key", "12345678", 413)
	stopProcess(t, s)
	out, _, _ := invoke(t, "", nil, "audit", "--data", filepath.Join(dir, "d"), "--who", "system", "--action", "reload")
	if strings.Count(out, "\n") != 3 || strings.Count(out, ": bad_request\n") != 1 {
		t.Errorf("audit:\n%swant three reloads, one of them refused", out)
	}
}

// TestReloadCertificate: a reload takes a certificate from other files, and clients may call the
// server by its names from then on, and by those of the old one no more.
func TestReloadCertificate(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("SIGHUP is ignored, as under nohup, and so by what is started here")
	}
	t.Parallel()
	dir := certs(t, "old.example", "new.example")
	file := filepath.Join(t.TempDir(), "c.toml")
	use := func(name string) {
		base := filepath.Join(dir, name)
		write(t, file, "[serve]\ntls-cert = \""+base+".pem\"\ntls-key = \""+base+"-key.pem\"\n")
	}
	use("old.example")
	s := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0", "--config", file)
	check := func(when, served string, wants map[string]int) {
		t.Helper()
		for name, want := range wants {
			client := &http.Client{Transport: &http.Transport{
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the name may be that of the other one
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", s.addr())
				}}}
			resp, err := client.Get("https://" + name + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			client.CloseIdleConnections()
			if got := resp.TLS.PeerCertificates[0].DNSNames[0]; resp.StatusCode != want || got != served {
				t.Errorf("%s: GET from %s: status %d and the certificate of %s; want %d and %s", when, name,
					resp.StatusCode, got, want, served)
			}
		}
	}
	check("at the start", "old.example", map[string]int{"old.example": 200, "new.example": 403})
	use("new.example")
	s.cmd.Process.Signal(syscall.SIGHUP)
	for !strings.Contains(s.said(), "glassq serve: reload: ") {
		select {
		case <-s.done:
			t.Fatalf("serve ended by SIGHUP: %s", s.said())
		case <-time.After(10 * time.Millisecond):
		}
	}
	check("after the reload", "new.example", map[string]int{"old.example": 403, "new.example": 200})
	stopProcess(t, s)
}
