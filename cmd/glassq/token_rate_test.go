package main

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// TestTokenRates: a token that has put too much is refused at each door, its acks are not, and other
// rates count without a new connection.
func TestTokenRates(t *testing.T) {
	t.Parallel()
	s := startTokenServer(t)
	key := s.token("ci", "put,work", "mine.*", "--bytes-per-second", "1")
	ci := s.known(key)
	lines := s.login(key)
	large := strings.Repeat("x", 10_000) // hours, at that rate
	if _, err := ci.Put(t.Context(), []glassq.Task{{Queue: "mine.q", Body: []byte(large)}}); err != nil {
		t.Fatal("the first put: ", err)
	}
	_, err := ci.Put(t.Context(), []glassq.Task{{Queue: "mine.q", Body: []byte("x")}})
	if glassq.CodeOf(err) != glassq.CodeQuota || glassq.RetryAfter(err) < time.Hour {
		t.Errorf("the second put = %v, after %v; want quota, and hours", err, glassq.RetryAfter(err))
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/v1/queues/mine.q/tasks", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); resp.StatusCode != 429 || err != nil || after < 3600 {
		t.Errorf("a put over HTTP = %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	for _, send := range []string{"set mine.q 0 0 1\r\nx\r\n", "ms mine.q 1\r\nx\r\n", "set mine.q/batch 0 0 3\r\nx\ny\r\n"} {
		if got := lines.ask(send); !strings.HasPrefix(got, "SERVER_ERROR token ci may put 1 bytes a second") {
			t.Errorf("%q = %q", send, got)
		}
	}
	leases, err := ci.Reserve(t.Context(), glassq.Reserve{Queue: "mine.q", Max: 1})
	if err != nil || len(leases) != 1 {
		t.Fatal(leases, err)
	}
	errs, err := ci.Ack(t.Context(), []glassq.Ack{{Token: leases[0].Token(), Result: &glassq.Task{Queue: "mine.results",
		Body: []byte(`{"o":{"ok":1}}`)}, Put: []glassq.Task{{Queue: "mine.q", Body: []byte("y")}}}})
	if err != nil || errs[0] != nil {
		t.Errorf("the ack = %v, %v; an ack is never refused for a rate", errs, err)
	}
	if me, err := ci.Whoami(t.Context()); err != nil || me.BytesPerSecond != 1 || me.PutsPerSecond != 0 {
		t.Errorf("Whoami = %+v, %v", me, err)
	}
	if _, text := s.request("the key of the server", "GET", "/metrics", ""); !strings.Contains(text,
		"\nglassq_token_refused_puts_total{reason=\"bytes\"} 5\n") {
		t.Errorf("metrics: %s", lineWith(text, "glassq_token_refused"))
	}
	for _, args := range [][]string{{"ci"}, {"ci", "--puts-per-second", "-1"}, {"nobody", "--puts-per-second", "1"}} {
		if _, errs, code := invoke(t, "", nil, append([]string{"token", "set", "--token-file", s.file}, args...)...); code == 0 {
			t.Errorf("token set %v = %d, %s", args, code, errs)
		}
	}
	out, errText, code := invoke(t, "", nil, "token", "set", "ci", "--bytes-per-second", "0", "--puts-per-second", "7000",
		"--token-file", s.file)
	if code != 0 || !strings.Contains(errText, "ci may put 7000 tasks and any bytes a second") {
		t.Fatalf("token set = %d, %q, %s", code, out, errText)
	}
	for {
		me, err := ci.Whoami(t.Context())
		if err != nil {
			t.Fatal("a token with other rates: ", err)
		}
		if me.PutsPerSecond == 7000 && me.BytesPerSecond == 0 {
			break
		}
	}
	if got := lines.ask("set mine.q 0 0 1\r\nx\r\n"); got != "STORED" {
		t.Errorf("after token set: %q", got)
	}
	out, _, _ = invoke(t, "", nil, "token", "ls", "--token-file", s.file)
	if !strings.HasSuffix(strings.TrimSpace(lineWith(out, "ci ")), " 7000    any") {
		t.Errorf("token ls:\n%s", out)
	}
}

func lineWith(text, what string) string {
	for line := range bytes.Lines([]byte(text)) {
		if strings.Contains(string(line), what) {
			return string(line)
		}
	}
	return ""
}
