package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogKeepsSecrets: with --log-format json every line of a server is an object with stable keys,
// from the first to the last, and at --log-level debug too no line has a key, a token or the body
// of a task.
func TestLogKeepsSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, tokens, bad := filepath.Join(dir, "key"), filepath.Join(dir, "tokens"), filepath.Join(dir, "bad")
	const secret, body, wrong = "the-key-that-nobody-sees", "the-body-that-nobody-sees", "the-wrong-key-that-nobody-sees"
	for path, text := range map[string]string{key: secret, bad: wrong} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	token, errs, code := invoke(t, "", nil, "token", "new", "ci", "--may", "put", "--token-file", tokens)
	if code != 0 {
		t.Fatalf("token new: exit %d, %s", code, errs)
	}
	s := start(t, nil, "serve", "--data", filepath.Join(dir, "d"), "--http", "127.0.0.1:0", "--memcached", "127.0.0.1:0", "--manager",
		"127.0.0.1:0", "--key-file", key, "--token-file", tokens, "--log-format", "json", "--log-level", "debug")
	url := "http://" + s.addr()
	call := func(auth, method, path, body string) {
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+auth)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
	}
	for _, auth := range []string{secret, strings.TrimSpace(token), wrong} {
		call(auth, "POST", "/v1/queues/mails/tasks", `{"body":"`+body+`"}`)
		call(auth, "POST", "/v1/queues/mails/tasks", `{"body":"`+body+`","priority":99}`)
		call(auth, "POST", "/v1/queues/mails/purge", body)
		call(auth, "POST", "/v1/queues/mails/purge", "")
		call(auth, "POST", "/v1/nowhere?key="+auth, body)
	}
	stopProcess(t, s)
	lines := strings.Split(strings.TrimSpace(s.said()), "\n")
	for _, line := range lines {
		var l struct{ Time, Level, Msg, Client string }
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Time == "" || l.Level == "" || l.Msg == "" {
			t.Errorf("a line is no object with time, level and msg: %s", line)
		}
		for _, hidden := range []string{secret, body, wrong, strings.TrimSpace(token)} {
			if strings.Contains(line, hidden) {
				t.Errorf("a line has %q: %s", hidden, line)
			}
		}
	}
	for _, event := range []string{`"msg":"door open","door":"http","addr":"127.0.0.1:`, `"msg":"door open","door":"memcached"`,
		`"msg":"a client was not let in","client":"127.0.0.1:`, `"msg":"stopping"`} {
		if !strings.Contains(s.said(), event) {
			t.Errorf("no line with %s in\n%s", event, s.said())
		}
	}
}

// stopProcess ends a process as a service manager does, and waits for its end.
func stopProcess(t *testing.T, s *process) {
	t.Helper()
	s.cmd.Process.Signal(os.Interrupt)
	if code := s.wait(); code != 0 {
		t.Errorf("%s: exit %d, want 0", s.name, code)
	}
}

// TestLogFlags: what cannot be is refused before the server opens anything.
func TestLogFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no such format", []string{"--log-format", "xml"}, "--log-format xml is not one of text, json"},
		{"a profiler for all", []string{"--pprof", "0.0.0.0:6060"}, "can be reached from other machines"},
		{"a profiler on every address", []string{"--pprof", ":6060"}, "can be reached from other machines"},
		{"no address", []string{"--pprof", "6060"}, "is not an address like 127.0.0.1:6060"},
		{"an error as JSON", []string{"--log-format", "json", "--sync", "often"}, `"msg":"ended by an error","err":"--sync often`},
	} {
		_, errs, code := invoke(t, "", nil, append([]string{"serve", "--store", "mem:", "--http", "127.0.0.1:0"}, tt.args...)...)
		if code != exitUsage || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: exit %d, %q; want %d, %q", tt.name, code, errs, exitUsage, tt.want)
		}
	}
}

// TestProfiler: the profiler is served on its own address, to those who call it by an address of
// this machine.
func TestProfiler(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0", "--pprof", "127.0.0.1:0")
	url := "http://" + s.addr() + "/debug/pprof/cmdline" // the first address that is said is the profiler's
	for host, want := range map[string]int{"": 200, "localhost:1": 200, "evil.example:80": 403} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("host %q: status %d, want %d", host, resp.StatusCode, want)
		}
	}
	stopProcess(t, s)
}
