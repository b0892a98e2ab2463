package fetch

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/glassq/glassq/result"
)

// recorder answers requests with a status and a Location, and keeps each as it came: the request
// line, the sorted lines of the header, the body. PATH answers for a request whose target is a key
// of it.
func recorder(t *testing.T, path map[string]string) (addr string, heads chan string) {
	heads = make(chan string, 16)
	addr, _ = raw(t, func(c net.Conn) {
		br := bufio.NewReader(c.(*seen).again())
		var head bytes.Buffer
		req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(br, &head)))
		if err != nil {
			heads <- "bad request: " + err.Error()
			return
		}
		io.Copy(io.Discard, req.Body)
		text, body, _ := strings.Cut(head.String(), "\r\n\r\n")
		lines := strings.Split(text, "\r\n")
		slices.SortFunc(lines[1:], func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
		heads <- strings.ReplaceAll(strings.Join(lines, "\n")+"\n\n"+body, req.Host, "HOST")
		if to, ok := path[req.RequestURI]; ok {
			fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", to)
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
	})
	return addr, heads
}

// Both engines send the same bytes for the same task: what was escaped in a URL stays so, and only
// what a URL cannot hold is escaped.
func TestEnginesSendTheSame(t *testing.T) {
	const post = `{"url":"http://ADDR/","method":"POST"`
	for _, tt := range []struct{ name, task, want string }{
		{"escaped slash", "http://ADDR/a%2Fb", "GET /a%2Fb HTTP/1.1"},
		{"escaped slash beside what is beyond ASCII", "http://ADDR/a%2Fb/ü", "GET /a%2Fb/%C3%BC HTTP/1.1"},
		{"braces", "http://ADDR/a%2Bb%3D/{x}", "GET /a%2Bb%3D/%7Bx%7D HTTP/1.1"},
		{"small hex", "http://ADDR/%c3%bc%2f", "GET /%c3%bc%2f HTTP/1.1"},
		{"all that a path can hold", "http://ADDR/-._~!$&'()*+,;=:@[]%20", "GET /-._~!$&'()*+,;=:@[]%20 HTTP/1.1"},
		{"all that a path cannot hold", "http://ADDR/\"<>\\^`{|}", "GET /%22%3C%3E%5C%5E%60%7B%7C%7D HTTP/1.1"},
		{"query", "http://ADDR/?q=%2F+%zz&a[]=\"ü\"&u=http://x/?y",
			"GET /?q=%2F+%zz&a[]=%22%C3%BC%22&u=http://x/?y HTTP/1.1"},
		{"no UTF-8", "http://ADDR/\xff?\xfe", "GET /%FF?%FE HTTP/1.1"},
		{"two slashes and dots", "http://ADDR//a/../b/.", "GET //a/../b/. HTTP/1.1"},
		{"empty query", "http://ADDR/?", "GET /? HTTP/1.1"},
		{"query alone", "http://ADDR?ü", "GET /?%C3%BC HTTP/1.1"},
		{"fragment", "http://ADDR/a#ü%zz", "GET /a HTTP/1.1"},
		{"header names as they are", post + `,"header":{"x-api-KEY":" a ","B":["1","3"]},"body":"ab"}`,
			"POST / HTTP/1.1\nB: 1\nB: 3\nContent-Length: 2\nHost: HOST\nx-api-KEY: a\n\nab"},
		{"accept-encoding of the task", post + `,"header":{"accept-encoding":"gzip"}}`, "Accept-Encoding: gzip"},
		{"user agent of the task", post + `,"header":{"user-agent":"me"}}`, "User-Agent: me"},
		{"text is text", post + `,"body":"user1234"}`, "\n\nuser1234"},
		{"text is text, with lists of values", post + `,"header":{"A":["b"]},"body":"user1234"}`, "\n\nuser1234"},
		{"bytes", post + `,"b64":"dXNlcg=="}`, "\n\nuser"},
		{"json", post + `,"body":{"a": 1}}`, "Content-Type: application/json\nHost: HOST\n\n{\"a\": 1}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sent []string
			for _, engine := range []string{EngineFast, EngineStd} {
				addr, heads := recorder(t, nil)
				if got, rec := once(t, Options{Engine: engine}, strings.Replace(tt.task, "ADDR", addr, 1)); !got.OK {
					t.Fatalf("%s: %s", engine, rec)
				}
				sent = append(sent, <-heads)
			}
			if !strings.EqualFold(sent[0], sent[1]) || tt.name == "header names as they are" && sent[0] != sent[1] {
				t.Errorf("fast sent %q\nstd sent  %q", sent[0], sent[1])
			}
			for _, s := range sent {
				if !strings.Contains(strings.ToLower(s), strings.ToLower(tt.want)) || strings.HasPrefix(tt.want, "GET ") &&
					!strings.HasPrefix(s, tt.want) {
					t.Errorf("sent %q\nwant %q", s, tt.want)
				}
			}
		})
	}
}

// A redirect keeps what is escaped in the place that it names, in both engines.
func TestRedirectsKeepEscapes(t *testing.T) {
	for location, want := range map[string]string{
		"/a%2Fb/ü": "/a%2Fb/%C3%BC", "b c?d e=%2F": "/x%2Fy/b%20c?d%20e=%2F", "?ü=%zz": "/x%2Fy/?%C3%BC=%zz", "{%7B}": "/x%2Fy/%7B%7B%7D",
	} {
		for _, engine := range []string{EngineFast, EngineStd} {
			addr, heads := recorder(t, map[string]string{"/x%2Fy/": location})
			got, rec := once(t, Options{Engine: engine, Redirects: 2}, "http://"+addr+"/x%2Fy/")
			if !got.OK {
				t.Errorf("%s: Location %s: %s", engine, location, rec)
				continue
			}
			<-heads
			if second := <-heads; !strings.HasPrefix(second, "GET "+want+" HTTP/1.1") {
				t.Errorf("%s: Location %s: sent %q, want %s\n%s", engine, location, second, want, rec)
			}
		}
	}
}

// What a task says twice is refused: nobody knows which was meant. Sentences name what is wrong.
func TestTasksThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ task, says string }{
		{`{"url":"http://x/","url":"http://y/"}`, `"url" comes twice`},
		{`{"url":"http://x/","\u0075rl":"http://y/"}`, `"url" comes twice`},
		{`{"url":"http://x/","URL":"http://y/"}`, `"URL" comes twice`},
		{`{"url":"http://x/","header":{"X-A":"1","X-A":"3"}}`, `"X-A" comes twice`},
		{`{"url":"http://x/","header":{"X-A":"1"},"headers":{"X-B":"3"}}`, `header and headers`},
		{`{"url":"http://x/","body":"a","b64":"YQ=="}`, `body and b64`},
		{`{"url":"http://x/","header":{"Host":["a","b"]}}`, `one value`},
		{`{"url":"http://x/","more":1} {}`, `something follows`},
		{"http://%6cocalhost/", "%6c"},
		{"http://x:99999/", "port 99999 is not between 1 and 65535"},
		{"http://x:0/", "port 0 is not between 1 and 65535"},
		{"http://[::1]:70000/", "port 70000 is not between 1 and 65535"},
		{"http://x:9x/", "port"},
	} {
		for _, engine := range engines {
			got, rec := once(t, Options{Engine: engine}, tt.task)
			if got.Class != result.ClassBadTask || !strings.Contains(strings.ReplaceAll(rec, `\"`, `"`), tt.says) ||
				strings.Contains(rec, "invalid URL escape") {
				t.Errorf("%s, %s: %s, want bad_task that says %q", tt.task, engine, rec, tt.says)
			}
		}
	}
}
