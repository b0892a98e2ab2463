package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glassq/glassq/internal/audit"
)

// TestAudit: what tokens do through HTTP and memcached, and are refused, is read by glassq audit.
func TestAudit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tokens, data := filepath.Join(dir, "tokens"), filepath.Join(dir, "d")
	made := func(name, may string) string {
		text, errs, code := invoke(t, "", nil, "token", "new", name, "--may", may, "--token-file", tokens)
		if code != 0 {
			t.Fatalf("token new: exit %d, %s", code, errs)
		}
		return strings.TrimSpace(text)
	}
	boss, ci := made("boss", "put,admin,read,work"), made("ci", "put")
	s := start(t, nil, "serve", "--data", data, "--http", "127.0.0.1:0", "--memcached", "127.0.0.1:0", "--token-file", tokens)
	url := "http://" + s.addr()
	call := func(token, method, path, body string, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body) // a backup is over when it was read
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s %s: status %d, want %d", method, path, resp.StatusCode, want)
		}
	}
	call(ci, "POST", "/v1/queues/mails/tasks", `{"body":"a"}`, 200)
	secret := filepath.Join(dir, "ci.key")
	if err := os.WriteFile(secret, []byte(ci), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := "{\"id\":\"1\",\"body\":\"b\"}\n{\"id\":\"2\",\"body\":\"c\"}\n{\"id\":\"2\",\"body\":\"c\"}\n"
	if _, errs, code := invoke(t, lines, nil, "queue", "import", "mails", "--server", url, "--key-file", secret); code != 0 {
		t.Fatalf("queue import: exit %d, %s", code, errs)
	}
	call(boss, "PATCH", "/v1/queues/mails", `{"paused":true}`, 200)
	call(boss, "PATCH", "/v1/queues/mails", `{"paused":false}`, 200)
	call(boss, "PATCH", "/v1/queues/mails", `{"rate":5}`, 200)
	call(ci, "POST", "/v1/queues/mails/purge", "", 403)
	call(boss, "POST", "/v1/queues/mails/purge", "", 200)
	call(boss, "POST", "/v1/queues/mails/redrive", "", 200)
	call(ci, "POST", "/v1/runs/r1", `{"sealed":true,"total":0}`, 200)
	call(boss, "POST", "/v1/runs/r1/cancel", "", 200)
	call(boss, "DELETE", "/v1/queues/mails", "", 200)
	call(boss, "DELETE", "/v1/queues/nowhere", "", 404)
	call(boss, "POST", "/v1/backup", "", 200)
	call(boss, "POST", "/v1/reload", "", 200)
	call("gq_nobodys", "POST", "/v1/queues/mails/purge", "", 401)
	flushAll(t, s, boss)
	stopProcess(t, s)

	out, errs, code := invoke(t, "", nil, "audit", "--data", data, "--json")
	if code != 0 || errs != "" {
		t.Fatalf("audit: exit %d, %s", code, errs)
	}
	var got []string
	for line := range strings.Lines(out) {
		var e audit.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Time.IsZero() || e.From != "127.0.0.1" {
			t.Errorf("line %q: %v", line, err)
		}
		got = append(got, fmt.Sprint(e.Who, " ", e.Door, " ", e.Action, " ", e.Queue+e.Run, " ", e.What, " ", e.Count, " ", e.Outcome))
	}
	want := []string{
		`ci http import mails  2 ok`,
		`boss http pause mails {"paused":true} 0 ok`,
		`boss http resume mails {"paused":false} 0 ok`,
		`boss http configure mails {"rate":5} 0 ok`,
		`ci http purge mails  0 forbidden`,
		`boss http purge mails  3 ok`,
		`boss http redrive mails  0 ok`,
		`ci http seal r1  0 ok`,
		`boss http cancel r1  0 ok`,
		`boss http drop mails  0 ok`,
		`boss http drop nowhere  0 not_found`,
		`boss http backup   0 ok`,
		`boss http reload   0 ok`,
		`unknown http login   0 unauthorized`,
		`boss memcached login   0 ok`,
		`boss memcached purge_all   0 ok`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("audit:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, tt := range []struct {
		name, want string
		args       []string
		lines      int
	}{
		{"who", "forbidden", []string{"--who", "ci", "--action", "purge"}, 1},
		{"action", "3 tasks by http from 127.0.0.1", []string{"--who", "boss", "--action", "purge"}, 1},
		{"since", "boss", []string{"--since", "1h"}, len(want)},
		{"later", "", []string{"--since", "2126-01-01T00:00:00Z"}, 0},
	} {
		out, _, code := invoke(t, "", nil, append([]string{"audit", "--data", data}, tt.args...)...)
		if code != 0 || strings.Count(out, "\n") != tt.lines || !strings.Contains(out, tt.want) {
			t.Errorf("%s: exit %d, %q; want %d lines with %q", tt.name, code, out, tt.lines, tt.want)
		}
	}
	if _, errs, code := invoke(t, "", nil, "audit", "--data", data, "--since", "soon"); code != exitUsage || !strings.Contains(errs, "--since soon") {
		t.Errorf("--since soon: exit %d, %s", code, errs)
	}
}

// flushAll purges everything by memcached.
func flushAll(t *testing.T, s *process, token string) {
	t.Helper()
	_, rest, _ := strings.Cut(s.said(), "memcached on ")
	addr, _, _ := strings.Cut(rest, "\n")
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	login := "any " + token
	answer := make([]byte, 64)
	for _, step := range []struct{ send, want string }{
		{fmt.Sprintf("set x 0 0 %d\r\n%s\r\n", len(login), login), "STORED\r\n"},
		{"flush_all\r\n", "OK\r\n"},
	} {
		fmt.Fprint(nc, step.send)
		n, err := nc.Read(answer)
		if err != nil || string(answer[:n]) != step.want {
			t.Fatalf("memcached answered %q, %v; want %q", answer[:n], err, step.want)
		}
	}
}

// TestAuditLost: what was lost of the audit are lines, and not tasks.
func TestAuditLost(t *testing.T) {
	lost := audit.Entry{Action: audit.ActionLost, Who: "system", Count: 35, Outcome: audit.OK}
	if text := describeEntry(&lost); !strings.HasSuffix(text, " 35 lines") {
		t.Errorf("describeEntry = %q, want 35 lines", text)
	}
}
