package hostile

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

// answers are the status codes of the responses in a stream; the bodies of this server hold no such
// line.
func answers(stream string) (codes []string) {
	for _, part := range strings.Split(stream, "HTTP/1.1 ")[1:] {
		codes = append(codes, part[:min(3, len(part))])
	}
	return codes
}

// TestSmuggling: two readers of one stream of HTTP could not disagree about where a request ends:
// what is ambiguous is refused, or done as the standard says and the last of its connection: what
// follows is never done.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	s := start(t)
	const (
		post = "POST /v1/queues/q/tasks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + theKey + "\r\n"
		// inner is what an attacker wants to be done by another's connection.
		inner = "POST /v1/queues/smuggled/tasks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + theKey +
			"\r\nContent-Type: text/plain\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
	)
	length := fmt.Sprintf("Content-Length: %d\r\n", len(inner))
	long := strings.Repeat("a", 1<<20)
	for _, tt := range []struct{ name, send, want string }{ // want "" is a cut without an answer
		{"length and chunks", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, "200"},
		{"chunks and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + inner, "200"},
		{"a long length and chunks", post + length + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, "200"},
		{"two lengths", post + "Content-Length: 0\r\n" + length + "\r\n" + inner, "400"},
		{"two lengths in one", post + "Content-Length: 0, 4\r\n\r\n" + inner, "400"},
		{"a length with a sign", post + "Content-Length: +4\r\n\r\n" + inner, "400"},
		{"a negative length", post + "Content-Length: -1\r\n\r\n" + inner, "400"},
		{"a length in hex", post + "Content-Length: 0x4\r\n\r\n" + inner, "400"},
		{"a length that is a word", post + "Content-Length: four\r\n\r\n" + inner, "400"},
		{"an empty length", post + "Content-Length:\r\n\r\n" + inner, "400"},
		{"a length beyond 63 bits", post + "Content-Length: 18446744073709551617\r\n\r\n" + inner, "400"},
		{"a length with a space before the colon", post + "Content-Length : 0\r\n" + length + "\r\n" + inner, "400"},
		{"chunks with a space before the colon", post + "Transfer-Encoding : chunked\r\n" + length + "\r\n" + inner, "400"},
		{"chunks after a tab", post + "Transfer-Encoding:\tchunkedx\r\n\r\n0\r\n\r\n" + inner, "501"},
		{"chunks twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, "501"},
		{"chunks and identity", post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner, "501"},
		{"chunks behind gzip", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + inner, "501"},
		{"chunks of another name", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner, "501"},
		{"chunks with a vertical tab", post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + inner, "400"},
		{"a folded coding", post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + inner, "200"},
		{"a chunk size that is none", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + inner, "400"},
		{"a chunk size with a sign", post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + inner, "400"},
		{"a chunk size of 17 digits", post + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n" + inner, "400"},
		{"a chunk longer than its size", post + "Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n" + inner, "400"},
		{"a chunk extension without end", post + "Transfer-Encoding: chunked\r\n\r\n1;" + long + "\r\n" + inner, "400"},
		{"a bare CR in a header", post + "X-A: b\rContent-Length: 4\r\n\r\n" + inner, "400"},
		{"a NUL in a header", post + "X-A: b\x00c\r\n\r\n" + inner, "400"},
		{"a NUL in a name", post + "X\x00A: b\r\n\r\n" + inner, "400"},
		{"a header without a colon", post + "nothing\r\n\r\n" + inner, "400"},
		{"a header without a name", post + ": b\r\n\r\n" + inner, "400"},
		{"a space before the first header", "GET /livez HTTP/1.1\r\n Host: localhost\r\n\r\n" + inner, "400"},
		{"two hosts", "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n" + inner, "400"},
		{"no host", "GET /livez HTTP/1.1\r\n\r\n" + inner, "400"},
		{"a host with a path", "GET /livez HTTP/1.1\r\nHost: localhost/evil\r\n\r\n" + inner, "400"},
		{"a version that there is not", "GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n" + inner, "505"},
		{"a version that is none", "GET /livez HTTP/x\r\nHost: localhost\r\n\r\n" + inner, "400"},
		{"version 0.9", "GET /livez\r\n\r\n" + inner, "400"},
		{"three spaces", "GET  /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + inner, "400"},
		{"a method that is none", "G@T /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + inner, "400"},
		{"a target with a space", "GET /li vez HTTP/1.1\r\nHost: localhost\r\n\r\n" + inner, "400"},
		{"a target with an escape", "GET /\x1b[2J HTTP/1.1\r\nHost: localhost\r\n\r\n" + inner, "400"},
		{"a target with a bad escape", "GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n" + inner, "400"},
		{"a long target", "GET /" + long + " HTTP/1.1\r\nHost: localhost\r\n\r\n" + inner, "431"},
		{"a long header", post + "X-A: " + long + "\r\n\r\n" + inner, "431"},
		{"many headers", post + strings.Repeat("X-A: b\r\n", 20000) + "\r\n" + inner, "431"},
		{"a header name without end", post + long, "431"},
		{"an expectation that there is not", post + "Expect: 200-ok\r\nContent-Length: 4\r\n\r\n" + inner, "417"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cases.Add(1)
			got := answers(s.talk(s.http, tt.send, false))
			if len(got) > 1 || tt.want != strings.Join(got, " ") {
				t.Errorf("answers %v; want %s and the end", got, tt.want)
			}
		})
	}
	// As the standard allows, a lone LF ends a line, and a fold is read as a space: no second
	// request comes of it.
	for _, tt := range []struct{ name, send string }{
		{"a folded header", post + "Content-Length: 4\r\nX-A: b\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r"},
		{"lines that end with LF", strings.ReplaceAll(post, "\r\n", "\n") + "Content-Length: 4\n\nabcd"},
		{"a header that ends with LF", post + "Content-Length: 4\nX-A: b\r\n\r\nabcd"},
		{"a chunk that ends with LF", post + "Transfer-Encoding: chunked\r\n\r\n4\nabcd\n0\n\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cases.Add(1)
			got := answers(s.talk(s.http, tt.send, true))
			if len(got) != 1 {
				t.Errorf("answers %v; want one", got)
			}
		})
	}
	if _, err := s.admin.Queues(t.Context(), "smuggled"); glassq.CodeOf(err) != glassq.CodeNotFound {
		t.Errorf("the request that was smuggled was done: %v", err)
	}
	s.served()
	s.settles()
}

// TestConfusion: what speaks another protocol is refused or cut, before a login and after one, and
// none of it is done.
func TestConfusion(t *testing.T) {
	t.Parallel()
	s := start(t)
	const hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	get := "GET /v1/queues HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + theKey + "\r\n\r\n"
	form := "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 300\r\n\r\n" +
		login(theKey) + "set confused 0 0 1\r\nx\r\n"
	spoken := []struct{ name, text string }{
		{"HTTP", get}, {"a form of a web page", form}, {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{"HTTP PUT", "PUT /x HTTP/1.1\r\n\r\n"}, {"HTTP OPTIONS", "OPTIONS * HTTP/1.1\r\n\r\n"},
		{"CONNECT", "CONNECT localhost:5080 HTTP/1.1\r\n\r\n"}, {"TLS", hello},
		{"binary memcached", "\x80\x00\x00\x01" + strings.Repeat("\x00", 20)},
		{"binary memcached, SASL", "\x80\x21\x00\x05\x00\x00\x00\x00\x00\x00\x00\x0d\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00PLAIN\x00a\x00secret"},
		{"memcached", "set confused 0 0 1\r\nx\r\n"}, {"Redis", "*1\r\n$4\r\nPING\r\n"}, {"SSH", "SSH-2.0-x\r\n"},
		{"SMTP", "EHLO x\r\n"}, {"zeros", strings.Repeat("\x00", 4096)}, {"ones", strings.Repeat("\xff", 4096)},
		{"PROXY", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"}, {"PROXY 2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"},
		{"a pickle", "\x00\x00\x00\x15\x80\x04N\x8c\x05dummy)}t."}, {"a line without end", strings.Repeat("x", 1<<20)},
		{"lines of nothing", strings.Repeat("\r\n", 1000)}, {"nothing", ""},
	}
	for door, addr := range map[string]string{"http": s.http, "memcached": s.lines, "Python": s.python} {
		for _, logged := range []bool{false, true} {
			if logged && door == "http" {
				continue
			}
			for _, tt := range spoken {
				own := door == "http" && (strings.HasPrefix(tt.name, "HTTP") || strings.HasPrefix(tt.name, "a form") ||
					tt.name == "CONNECT") || door == "memcached" && tt.name == "memcached" ||
					door == "Python" && tt.name == "a pickle"
				if own {
					continue
				}
				t.Run(fmt.Sprintf("%s to %s, login %v", tt.name, door, logged), func(t *testing.T) {
					cases.Add(1)
					var got string
					switch {
					case logged && door == "Python":
						p := s.greet(theKey)
						if p == nil {
							t.Fatal("not let in")
						}
						got = s.rest(p.nc.(*net.TCPConn), p.r, tt.text, true)
					case logged:
						got = strings.TrimPrefix(s.talk(addr, login(theKey)+tt.text, true), "STORED\r\n")
					default:
						got = s.talk(addr, tt.text, true)
					}
					if strings.Contains(got, " 200 OK") || strings.Contains(got, "STORED") || strings.Contains(got, "#WELCOME#") ||
						strings.Contains(got, "#RETURN") {
						t.Errorf("the door answers %q", got)
					}
				})
			}
		}
	}
	if _, err := s.admin.Queues(t.Context(), "confused"); glassq.CodeOf(err) != glassq.CodeNotFound {
		t.Errorf("a line that came within another protocol was done: %v", err)
	}
	s.served()
	s.settles()
}

// TestPaths: no way to write a path gets at a queue that the token is not for, nor at a file.
func TestPaths(t *testing.T) {
	t.Parallel()
	s := start(t)
	key := s.token("mine", "read,work,put", "mine.*")
	if _, err := s.admin.Put(t.Context(), []glassq.Task{{Queue: "mine.q", Body: []byte("mine")},
		{Queue: "foreign.q", Body: []byte("foreign secret")}}); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"/v1/queues/foreign.q/peek", "/v1/queues/mine.q%2F..%2Fforeign.q/peek", "/v1/queues/mine.q/../foreign.q/peek",
		"/v1/queues/mine.q%2f%2e%2e%2fforeign.q/peek", "/v1/queues/%66oreign.q/peek", "/v1/queues/foreign%2Eq/peek",
		"/v1/queues/mine.q/%2e%2e/foreign.q/peek", "/v1/queues/./foreign.q/peek", "/v1//queues/foreign.q/peek",
		"//v1/queues/foreign.q/peek", "/v1/queues/foreign.q//peek", "/v1/queues/foreign.q/peek/", "/V1/queues/foreign.q/peek",
		"/v1/queues/foreign.q/peek?queue=mine.q", "/v1/queues/mine.q%00foreign.q/peek", "/v1/queues/mine.%2A/peek",
		"/v1/queues/foreign.q%20/peek", "/v1/queues/%20foreign.q/peek", "/v1/queues/foreign.q;x=1/peek",
		"/v1/queues/mine.q\\..\\foreign.q/peek", "/v1/queues/mine.q%5C..%5Cforeign.q/peek", "/v1/queues/foreign.q%2Fpeek",
		"/v1/queues/mine.q%252F..%252Fforeign.q/peek", "/v1/queues/%E2%80%AEforeign.q/peek", "/v1/queues/%FF/peek",
		"/v1/queues/FOREIGN.q/peek", "/v1/queues/" + strings.Repeat("m", 300) + "/peek", "/v1/queues//peek",
		"/v1/queues/../../../../etc/passwd", "/schema/../../../etc/passwd", "/schema/..%2F..%2Fgo.mod", "/schema/%2e%2e",
		"/schema/task.json%00", "/schema//etc/passwd", "/openapi.yaml/..%2f..%2fgo.mod", "/.git/config", "/debug/pprof/",
		"/debug/vars", "/v1/queues/mine.results/../foreign.q", "/v1/runs/..%2Fqueues%2Fforeign.q",
		"http://evil.example/v1/queues/foreign.q/peek", "http://127.0.0.1/v1/queues/foreign.q/peek",
	} {
		t.Run(target, func(t *testing.T) {
			cases.Add(1)
			got := s.talk(s.http, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+key+
				"\r\nConnection: close\r\n\r\n", false)
			codes := answers(got)
			if len(codes) != 1 || codes[0][0] != '4' && codes[0][0] != '3' || strings.Contains(got, "secret") ||
				strings.Contains(got, "root:") || strings.Contains(got, "Location: //") || strings.Contains(got, "Location: http") {
				t.Errorf("GET %s = %.300q", target, got)
			}
		})
	}
	s.settles()
}

// TestPages: no page in a browser gets at a queue, whatever name it came by, also on a server
// without a key.
func TestPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	bearer := "Bearer " + theKey
	port := s.http[strings.LastIndexByte(s.http, ':'):]
	const put = "/v1/queues/paged/tasks"
	for _, tt := range []struct {
		name, method, path string
		header             []string
	}{
		{"a name that was rebound", "GET", "/v1/queues", []string{"Host", "evil.example"}},
		{"a name that was rebound, with the port", "GET", "/v1/queues", []string{"Host", "evil.example" + port}},
		{"a name that begins with localhost", "GET", "/v1/queues", []string{"Host", "localhost.evil.example"}},
		{"a name that ends like localhost", "GET", "/v1/queues", []string{"Host", "evillocalhost"}},
		{"a name that begins with an address", "GET", "/v1/queues", []string{"Host", "127.0.0.1.evil.example"}},
		{"a name with a user", "GET", "/v1/queues", []string{"Host", "localhost@evil.example"}},
		{"a name on a put", "POST", put, []string{"Host", "evil.example"}},
		{"a name at the documents", "GET", "/openapi.yaml", []string{"Host", "evil.example"}},
		{"a name at the figures", "GET", "/metrics", []string{"Host", "evil.example"}},
		{"another site", "POST", put, []string{"Origin", "https://evil.example"}},
		{"another port of this machine", "POST", put, []string{"Origin", "http://localhost:1"}},
		{"another scheme", "POST", put, []string{"Origin", "https://" + s.http + "0"}},
		{"no site", "POST", put, []string{"Origin", "null"}},
		{"a file", "POST", put, []string{"Origin", "file://"}},
		{"cross-site", "POST", put, []string{"Sec-Fetch-Site", "cross-site"}},
		{"same-site", "POST", put, []string{"Sec-Fetch-Site", "same-site"}},
		{"cross-site with our own Origin", "POST", put, []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://" + s.http}},
		{"cross-site ack", "POST", "/v1/ack", []string{"Sec-Fetch-Site", "cross-site"}},
		{"cross-site purge", "POST", "/v1/queues/paged/purge", []string{"Sec-Fetch-Site", "cross-site"}},
		{"cross-site delete", "DELETE", "/v1/queues/paged", []string{"Sec-Fetch-Site", "cross-site"}},
		{"cross-site settings", "PATCH", "/v1/queues/paged", []string{"Sec-Fetch-Site", "cross-site"}},
		{"cross-site copy", "POST", "/v1/backup", []string{"Sec-Fetch-Site", "cross-site"}},
		{"cross-site cancel", "POST", "/v1/runs/r/cancel", []string{"Sec-Fetch-Site", "cross-site"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cases.Add(1)
			status, answer := s.ask(tt.method, tt.path, bearer, "x", tt.header...)
			if status != http.StatusForbidden && (status != http.StatusBadRequest || !strings.Contains(tt.name, "user")) {
				t.Errorf("= %d %s; want 403", status, answer)
			}
		})
	}
	t.Run("no leave for another site", func(t *testing.T) {
		cases.Add(1)
		r, err := http.NewRequest("OPTIONS", "http://"+s.http+put, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("the answer to a preflight has %s", name)
			}
		}
	})
	if _, err := s.admin.Queues(t.Context(), "paged"); glassq.CodeOf(err) != glassq.CodeNotFound {
		t.Errorf("a page has put a task: %v", err)
	}
	s.served()
	s.settles()
}
