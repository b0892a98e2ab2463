package main

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A target that is awkward in the ways that flags of work http are about.
func awkwardTarget(w http.ResponseWriter, r *http.Request, seen func() int) {
	n := seen()
	switch r.URL.Path {
	case "/busy":
		if n == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	case "/post":
		if n == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
	case "/late":
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case "/moved":
		http.Redirect(w, r, "/there", http.StatusFound)
		return
	case "/packed":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, strings.Repeat("hello ", 1000))
		z.Close()
		return
	case "/teapot":
		w.WriteHeader(http.StatusTeapot)
	case "/asked":
		fmt.Fprintf(w, "host=%s agent=%s proto=%s", r.Host, r.UserAgent(), r.Proto)
		return
	}
	io.WriteString(w, "hello")
}

// Every flag of work http about requests, through the real command: run has the same flags, so that
// one process shows each.
func TestFetchFlags(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	count := map[string]int{} // by path and the test's name
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		awkwardTarget(w, r, func() int {
			mu.Lock()
			defer mu.Unlock()
			count[r.URL.String()]++
			return count[r.URL.String()]
		})
	})
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		io.WriteString(w, "proxy for "+r.RequestURI)
	}))
	t.Cleanup(proxy.Close)
	_, port, _ := net.SplitHostPort(plain.Listener.Addr().String())
	dir := t.TempDir()
	ca := write(t, filepath.Join(dir, "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: secure.Certificate().Raw})))
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("hello")))
	pages := filepath.Join(dir, "pages")
	local := " --allow-cidr 127.0.0.0/8"

	tests := []struct{ name, url, flags, want string }{
		{"measure", plain.URL + "/busy", "", `"ok":0 "code":503 "err":"status"`},
		{"measure, redirect", plain.URL + "/moved", "", `"ok":1 "code":302`},
		{"guard of fetch", plain.URL + "/", "--profile fetch", `"ok":0 "err":"blocked" loopback`},
		{"guard alone", plain.URL + "/", "--guard", `"err":"blocked"`},
		{"no guard", plain.URL + "/", "--profile fetch --guard=false", `"ok":1`},
		{"deny", plain.URL + "/", "--deny-cidr 127.0.0.1", `"err":"blocked"`},
		{"another host", plain.URL + "/", "--allow-host *.example.com", `"err":"blocked"`},
		{"this host", plain.URL + "/", "--allow-host 127.0.0.1", `"ok":1`},
		{"fetch, busy", plain.URL + "/busy", "--profile fetch --backoff 1ms" + local, `"ok":1 "code":200 "tries":2`},
		{"fetch, no retries", plain.URL + "/busy", "--profile fetch --retries 0" + local, `"code":503`},
		{"retries with measure", plain.URL + "/busy", "--retries 1 --retry-on 5xx", `"code":200 "tries":2`},
		{"post is not tried again", `{"url":"` + plain.URL + `/post?NAME","method":"POST"}`, "--profile fetch" + local,
			`"code":502`},
		{"post is tried again", `{"url":"` + plain.URL + `/post?NAME","method":"POST"}`,
			"--profile fetch --backoff 1ms --retry-unsafe" + local, `"code":200 "tries":2`},
		{"asked to wait too long", plain.URL + "/late", "--profile fetch --backoff-max 30s" + local, `"code":503`},
		{"fetch, redirect", plain.URL + "/moved", "--profile fetch" + local, `"code":200 "hops":1 /there"`},
		{"redirects of measure", plain.URL + "/moved", "--redirects 1", `"code":200 "hops":1`},
		{"fetch, packed", plain.URL + "/packed", "--profile fetch" + local, `"size":6000`},
		{"decode", plain.URL + "/packed", "--decode --expect-size 6000 --expect-body hello", `"ok":1 "size":6000`},
		{"no decoding", plain.URL + "/packed", "--profile fetch --decode=false --expect-size 6000" + local,
			`"ok":0 "err":"body_mismatch"`},
		{"expected status", plain.URL + "/teapot", "--expect-status 200,418", `"ok":1 "code":418`},
		{"another body", plain.URL + "/", "--expect-body bye", `"ok":0 "err":"body_mismatch"`},
		{"match", plain.URL + "/", "--expect-match ^h.llo$", `"ok":1`},
		{"no match", plain.URL + "/", "--expect-match ^x", `"err":"body_mismatch"`},
		{"sum", plain.URL + "/", "--expect-sha256 " + sum, `"ok":1`},
		{"size", plain.URL + "/", "--expect-size 1..4", `"err":"body_mismatch"`},
		{"time", plain.URL + "/", "--expect-time 1ns", `"err":"timeout" "code":200`},
		{"phases", plain.URL + "/", "--phases", `"ph":{ "wait": "first":`},
		{"hash", plain.URL + "/", "--save hash", `"sha256":"` + sum + `"`},
		{"text", plain.URL + "/", "--save text --save-text 2B", `"body":"he" "body_cut":3`},
		{"file", plain.URL + "/", "--save file --save-dir " + pages, `"file":"` + sum[:2] + "/" + sum + `"`},
		{"too large", plain.URL + "/", "--max-answer 4B", `"err":"too_large"`},
		{"user agent", plain.URL + "/asked", "--save text --user-agent me", `agent=me`},
		{"connect to", "http://x.example/asked", "--save text --connect-to x.example:80:127.0.0.1:" + port, `host=x.example`},
		{"proxy", "http://x.example/p", "--save text --proxy " + proxy.URL, `proxy for http://x.example/p`},
		{"unknown authority", secure.URL + "/", "", `"err":"tls"`},
		{"ca", secure.URL + "/asked", "--save text --target-ca " + ca, `proto=HTTP/1.1`},
		{"http2", secure.URL + "/asked", "--save text --http2 --target-ca " + ca, `proto=HTTP/2.0`},
		{"insecure", secure.URL + "/", "--target-insecure --target-name x", `"ok":1`},
		{"name", secure.URL + "/", "--target-name example.com --target-ca " + ca, `"ok":1`},
		{"another name", secure.URL + "/", "--target-name example.net --target-ca " + ca, `"err":"tls"`},
		{"std", plain.URL + "/", "--engine std --keep-alive=false", `"ok":1`},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := strings.Replace(tt.url, "NAME", fmt.Sprint(i), 1)
			if url == tt.url {
				url += fmt.Sprintf("?%d", i)
			}
			args := append([]string{"run", "--file", "-", "--format", "text", "--json", "--data", "mem:", "-c", "2"},
				strings.Fields(tt.flags)...)
			out, errs, code := invoke(t, url+"\n", nil, args...)
			line := strings.TrimSpace(out)
			ends := 0
			if strings.Contains(line, `"ok":0`) {
				ends = exitNotWell
			}
			if code != ends || !json.Valid([]byte(line)) {
				t.Fatalf("exit %d: %s%s; want %d", code, out, errs, ends)
			}
			for want := range strings.FieldsSeq(tt.want) {
				if !strings.Contains(line, want) {
					t.Errorf("glassq run %s: %s, want %s", tt.flags, line, want)
				}
			}
		})
	}
	t.Cleanup(func() {
		if b, err := os.ReadFile(filepath.Join(pages, sum[:2], sum)); string(b) != "hello" {
			t.Errorf("the saved page has %q, %v", b, err)
		}
	})
}

// work http says which profile and engine it has, and what std does.
func TestFetchPlan(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	url := strings.Replace(strings.Replace(f.url, "http://", "http://me:pw@", 1), "{0}", "0", 1)
	f.do(0, "dispatch", url, "-n", "2", "--run", "r1")
	_, errs := f.do(0, "work", "http", "--until-done", "r1", "--profile", "fetch", "--guard=false", "-c", "1")
	for _, want := range []string{"1 at once, profile fetch, engine fast, std for what that cannot do",
		"the std engine does tasks with user and password in the url"} {
		if strings.Count(errs, want) != 1 {
			t.Errorf("work http said %s, want %q once", errs, want)
		}
	}
}

func TestBadFetchFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ flags, want string }{
		{"--profile x", `profile "x" is not one of measure, fetch`},
		{"--engine x", `engine "x" is not one of auto, fast, std`},
		{"--engine fast --http2", "the fast engine speaks neither"},
		{"--profile fetch --proxy http://p:1", "the guard and denied addresses cannot be kept"},
		{"--proxy ftp://p", `proxy scheme "ftp"`},
		{"--proxy p", "the proxy is not a URL"},
		{"--allow-cidr 10/8", `"10/8" is neither an address nor a range`},
		{"--deny-cidr x", `"x" is neither an address nor a range`},
		{"--allow-host a/b", `"a/b" is neither a host nor a domain`},
		{"--retry-on 6", `--retry-on: "6" is not a list of statuses`},
		{"--expect-status 2xx,x", `--expect-status: "2xx,x" is not a list of statuses`},
		{"--expect-match (", "--expect-match: error parsing regexp"},
		{"--expect-sha256 x", `--expect-sha256 "x" is not hex`},
		{"--expect-sha256 00", "1 bytes, not 32"},
		{"--expect-size 4..2", `--expect-size "4..2" is not like`},
		{"--expect-time -1s", "expected sizes and times are not negative"},
		{"--retries -1", "not negative"},
		{"--save x", `"x" is not one of off, hash, text, file`},
		{"--save file", "--save file and --save-dir go together"},
		{"--save-dir d", "--save file and --save-dir go together"},
		{"--max-answer 0", "--max-answer 0 is not between"},
		{"--save-text 2MiB", "--save-text 2MiB is not between"},
		{"--target-ca /does/not/exist", "read authorities"},
		{"--target-cert /does/not/exist", "needs both its certificate and its key"},
		{"--target-cert /does/not/exist --target-key x", "read client certificate"},
		{"--connect-to a:b", `"a:b" is not like host:port:otherhost:otherport`},
		{"--user-agent a\x01", "control characters"},
	} {
		t.Run(tt.flags, func(t *testing.T) {
			t.Parallel()
			_, errs, code := invoke(t, "", nil, append([]string{"work", "http"}, strings.Fields(tt.flags)...)...)
			if code != 2 || !strings.Contains(errs, tt.want) {
				t.Errorf("work http %s: exit %d: %s; want 2 and %q", tt.flags, code, errs, tt.want)
			}
		})
	}
}
