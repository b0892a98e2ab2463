package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the flags of requests make a target see, with spellings of curl and lists as people have
// them.
func TestRequestFlags(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := httputil.DumpRequest(r, true)
		mu.Lock()
		seen = append(seen, strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), r.Host, "HOST"))
		mu.Unlock()
	}))
	defer srv.Close()
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "body"), "{\"a\":\r\n1}\n")
	const form, head = "Content-Type: application/x-www-form-urlencoded\n", "HTTP/1.1\nHost: HOST\n"
	for _, tt := range []struct {
		name, stdin string
		args        []string
		want        []string
	}{
		{"escapes", "", []string{"URL/a%2Fb/ü", "-n", "1"}, []string{"GET /a%2Fb/%C3%BC " + head + "\n"}},
		{"headers that repeat", "", []string{"URL/", "-n", "1", "-H", "X-A: 1", "--header", "X-A: 3"},
			[]string{"GET / " + head + "X-A: 1\nX-A: 3\n\n"}},
		{"body of a file", "", []string{"URL/", "-n", "1", "-X", "PUT", "--body", "@" + file},
			[]string{"PUT / " + head + "Content-Length: 10\n\n{\"a\":\r\n1}\n"}},
		{"an at", "", []string{"URL/", "-n", "1", "-X", "PUT", "--body", "@@{0}"},
			[]string{"PUT / " + head + "Content-Length: 2\n\n@0"}},
		{"data", "", []string{"URL/", "-n", "1", "-d", "a={0}", "-d", `{"b":{"c":1}}`},
			[]string{"POST / " + head + "Content-Length: 17\n" + form + "\na=0&{\"b\":{\"c\":1}}"}},
		{"data of a file", "", []string{"URL/", "-n", "1", "-d", "@" + file, "-H", "content-type: application/json"},
			[]string{"POST / " + head + "Content-Length: 7\nContent-Type: application/json\n\n{\"a\":1}"}},
		{"binary data of a file", "", []string{"URL/", "-n", "1", "-X", "PATCH", "--data-binary", "@" + file},
			[]string{"PATCH / " + head + "Content-Length: 10\n" + form + "\n{\"a\":\r\n1}\n"}},
		{"data of standard input", "x\n", []string{"URL/", "-n", "1", "--data-binary", "@-"},
			[]string{"POST / " + head + "Content-Length: 2\n" + form + "\nx\n"}},
		{"text that is base64", `{"method":"POST","url":"URL/","body":"user1234"}`, []string{"--format", "ndjson"},
			[]string{"POST / " + head + "Content-Length: 8\n\nuser1234"}},
		{"targets of vegeta", "GET URL/1\n\nPOST URL/2\nX-A: 1\n@" + file + "\n", []string{"--format", "vegeta", "-c", "1"},
			[]string{"GET /1 " + head + "\n", "POST /2 " + head + "Content-Length: 10\nX-A: 1\n\n{\"a\":\r\n1}\n"}},
		{"comments", "# one\n\n//two\nURL/#x\n", []string{"--comments"}, []string{"GET / " + head + "\n"}},
		{"a list with NULs", "URL/1\x00URL/2\x00", []string{"-0", "-c", "1"},
			[]string{"GET /1 " + head + "\n", "GET /2 " + head + "\n"}},
	} {
		seen = nil
		args := []string{"run", "--data", "mem:", "--quiet"}
		for _, arg := range tt.args {
			args = append(args, strings.ReplaceAll(arg, "URL", srv.URL))
		}
		_, errs, code := invoke(t, strings.ReplaceAll(tt.stdin, "URL", srv.URL), nil, args...)
		for i, s := range seen { // DumpRequest puts the headers in another order than they came in
			head, body, _ := strings.Cut(s, "\n\n")
			lines := strings.Split(head, "\n")
			slices.Sort(lines[2:])
			seen[i] = strings.Join(lines, "\n") + "\n\n" + body
		}
		slices.Sort(seen)
		for i := range tt.want {
			if code != 0 || len(seen) != len(tt.want) || strings.TrimRight(seen[i],
				"\n") != strings.TrimRight(strings.ReplaceAll(tt.want[i], "\r\n", "\n"), "\n") {
				t.Errorf("%s: exit %d, the target saw %q, want %q\n%s", tt.name, code, seen, tt.want, errs)
				break
			}
		}
	}
}

func TestBadRequestFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		want string
	}{
		{"run http://x/ -n 1 --body a -d b", "leave one out"},
		{"run http://x/ -n 1 --body @/does/not/exist", "/does/not/exist"},
		{"run --file - -d @-", "@- reads the body from standard input"},
		{"run http://x/ -n 1 --comments", "about the lines of a file"},
		{"run http://x/ -n 1 --duration 1s", "take one of them"},
		{"run http://x/ --duration 1s --stages 1/1s", "stages have durations of their own"},
		{"run http://x/ -n 1 --per-host -1", "--per-host and --per-host-rate are not negative"},
		{"run http://x/ -n 1 --proxy http://p:1 --unix-socket s", "one of them only"},
		{"dispatch http://x/ --duration 1s", "--duration needs --rate here"},
		{"work exec --strict true", "give --until-done too"},
	} {
		if _, errs, code := invoke(t, "", nil, strings.Fields(tt.args)...); code != exitUsage ||
			!strings.Contains(errs, tt.want) {
			t.Errorf("glassq %s: exit %d, %s; want exit %d and %q", tt.args, code, errs, exitUsage, tt.want)
		}
	}
}

// A host that takes so many requests a second and no more costs no task its tries, and run waits
// for it.
func TestBusyHost(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	begun, taken := time.Now(), 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(begun) > time.Second {
			begun, taken = now, 0
		}
		if taken++; taken > 10 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer srv.Close()
	_, errs, code := invoke(t, "", nil, "run", srv.URL+"/{0}", "-n", "40", "--data", "mem:", "--profile", "fetch",
		"--guard=false", "--retries", "1", "--strict", "--quiet")
	if code != 0 || !strings.Contains(errs, "put 40 = ok 40 +") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// A rule about times is broken where there were no answers.
func TestRuleWithoutAnswers(t *testing.T) {
	t.Parallel()
	url := "http://" + freeAddress(t) + "/{0}"
	if _, errs, code := invoke(t, "", nil, "run", url, "-n", "5", "--data", "mem:", "--quiet", "--fail-if",
		"p99>100ms"); code != exitThreshold {
		t.Errorf("exit %d, want %d: %s", code, exitThreshold, errs)
	}
}

// A run of a duration ends soon after it, all its tasks done; with a rate they are as many as that
// hands out.
func TestDuration(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		io.WriteString(w, "hello")
	}))
	defer srv.Close()
	_, errs, code := invoke(t, "", nil, "run", srv.URL+"/{0}", "--duration", "500ms", "--data", "mem:", "--quiet", "-c",
		"4")
	var put, ok int
	line := errs[max(strings.LastIndex(errs, "put "), 0):]
	fmt.Sscanf(strings.ReplaceAll(line, ",", ""), "put %d = ok %d", &put, &ok)
	if code != 0 || put < 10 || ok != put || !strings.Contains(errs, "pending 0") {
		t.Errorf("exit %d, %d put, %d ok: %s", code, put, ok, errs)
	}
	_, errs, code = invoke(t, "", nil, "run", srv.URL+"/{0}", "--duration", "500ms", "--rate", "100", "--data", "mem:",
		"--quiet")
	if code != 0 || !strings.Contains(errs, "put 50 = ok 50 ") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestWorkStrict(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.put("good", "0", "0")
	f.put("bad", "0", "1")
	f.do(0, "work", "exec", "--queue", "good", "--until-done", "good", "--strict", "--quiet", "--", "sh", "-c",
		"exit $1", "-", "{}")
	f.do(exitNotWell, "work", "exec", "--queue", "bad", "--until-done", "bad", "--strict", "--quiet", "--", "sh", "-c",
		"exit $1", "-", "{}")
}
