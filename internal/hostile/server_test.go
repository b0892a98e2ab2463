package hostile

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
)

var full = flag.Bool("full", false, "floods at their full size, with times that are measured")

const (
	theKey = "the-key-of-this-server"

	// tooLong is how long nothing takes that comes to its end, on whatever machine.
	tooLong = 2 * time.Minute
)

// program is the binary under test, built once; cases is how many attacks were made.
var (
	program string
	cases   atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "glassq-hostile-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "glassq")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", program,
		"github.com/glassq/glassq/cmd/glassq").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	fmt.Printf("hostile: cases=%d\n", cases.Load())
	return code
}

// invoke runs the program to its end.
func invoke(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = environment(t)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func environment(t *testing.T) (list []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GLASSQ_") && !strings.HasPrefix(v, "XDG_") {
			list = append(list, v)
		}
	}
	return append(list, "XDG_STATE_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
}

// A server is the real program, all doors open.
type server struct {
	t                     *testing.T
	keys, tokens          string // files
	http, lines, python   string // addresses of the doors
	admin                 *client.Client
	goroutines, heldBytes float64 // of a calm server
}

var announced = regexp.MustCompile(`glassq serve: (\w+).* on (127\.0\.0\.1:\d+)`)

// start starts a server with a key and tokens, which the end of the test ends.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{t: t, keys: filepath.Join(dir, "key"), tokens: filepath.Join(dir, "tokens")}
	if err := os.WriteFile(s.keys, []byte(theKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.token("first", "read", "nothing")
	cmd := exec.Command(program, append([]string{"serve", "--store", "mem:", "--http", "127.0.0.1:0", "--memcached",
		"127.0.0.1:0", "--manager", "127.0.0.1:0", "--key-file", s.keys, "--token-file", s.tokens}, args...)...)
	cmd.Env = environment(t)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	ready := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		open := 0
		for in := bufio.NewScanner(out); in.Scan(); {
			fmt.Fprintln(&said, in.Text())
			m := announced.FindStringSubmatch(in.Text())
			if m == nil || open == 3 {
				continue
			}
			switch m[1] {
			case "http":
				s.http = m[2]
			case "memcached":
				s.lines = m[2]
			case "Python":
				s.python = m[2]
			}
			if open++; open == 3 {
				close(ready)
			}
		}
		if open < 3 {
			close(ready)
		}
	})
	t.Cleanup(func() {
		cmd.Process.Kill()
		reading.Wait()
		cmd.Wait()
		if t.Failed() {
			t.Logf("the server said:\n%s", said.String())
		}
	})
	<-ready
	if s.python == "" {
		t.Fatal("the server ended before its doors were open")
	}
	if s.admin, err = client.New("http://"+s.http, client.Options{Key: theKey}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.admin.Close() })
	s.served()
	s.goroutines, s.heldBytes = s.figure("go_goroutines"), s.figure("process_resident_memory_bytes")
	return s
}

// make makes an access token.
func (s *server) make(name, may, queues string, args ...string) string {
	s.t.Helper()
	out, errs, code := invoke(s.t, append([]string{"token", "new", name, "--may", may, "--queue", queues, "--token-file",
		s.tokens}, args...)...)
	if code != 0 {
		s.t.Fatalf("token new %s = %d, %s", name, code, errs)
	}
	return strings.TrimSpace(out)
}

// token makes an access token and waits until a server that runs knows it.
func (s *server) token(name, may, queues string, args ...string) string {
	s.t.Helper()
	key := s.make(name, may, queues, args...)
	for s.http != "" {
		status, answer := s.ask("GET", "/v1/whoami", "Bearer "+key, "")
		if status == http.StatusOK {
			break
		}
		if status != http.StatusUnauthorized || s.t.Context().Err() != nil {
			s.t.Fatalf("whoami = %d %s", status, answer)
		}
	}
	return key
}

// revoke ends a token and waits until the server knows it.
func (s *server) revoke(name, key string) {
	s.t.Helper()
	if _, errs, code := invoke(s.t, "token", "revoke", name, "--token-file", s.tokens); code != 0 {
		s.t.Fatalf("token revoke %s = %d, %s", name, code, errs)
	}
	for {
		if status, _ := s.ask("GET", "/v1/whoami", "Bearer "+key, ""); status == http.StatusUnauthorized {
			return
		}
	}
}

// ask sends one HTTP request; authorization is "" for none.
func (s *server) ask(method, path, authorization, body string, header ...string) (status int, answer string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.http+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// dial opens a connection to a door, which the end of the test ends.
func (s *server) dial(addr string) *net.TCPConn {
	s.t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(tooLong))
	return nc.(*net.TCPConn)
}

// talk sends bytes over a connection of its own and returns what comes until the end of it. The
// writer's half is closed when done is set, as a client does that wants no more.
func (s *server) talk(addr, send string, done bool) string {
	s.t.Helper()
	nc := s.dial(addr)
	return s.rest(nc, nc, send, done)
}

// served checks that another client is served at each door.
func (s *server) served() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), tooLong)
	defer cancel()
	if _, err := s.admin.Put(ctx, []glassq.Task{{Queue: "calm", Body: []byte("x")}}); err != nil {
		s.t.Errorf("another client: put: %v", err)
	}
	l, err := s.admin.Reserve(ctx, glassq.Reserve{Queue: "calm"})
	if err != nil || len(l) != 1 {
		s.t.Fatalf("another client: reserve = %v, %v", l, err)
	}
	if errs, err := s.admin.Ack(ctx, []glassq.Ack{{Token: l[0].Token()}}); err != nil || errs[0] != nil {
		s.t.Errorf("another client: ack: %v, %v", errs, err)
	}
	got := ""
	for range 5 { // among hundreds of strangers one that has not logged in yet may be cut, and comes again
		if got = s.talk(s.lines, login(theKey)+"set calm2 0 0 1\r\nx\r\nget calm2\r\nquit\r\n", false); got != "" {
			break
		}
	}
	if got != "STORED\r\nSTORED\r\nVALUE calm2 0 1\r\nx\r\nEND\r\n" {
		s.t.Errorf("another client of the memcached door got %q", got)
	}
	p := s.greet(theKey)
	if p == nil {
		s.t.Error("another client is not let in at the Python door")
	} else {
		p.nc.Close()
	}
}

// login is a client's login at the memcached door.
func login(key string) string {
	body := "ci:" + key
	return fmt.Sprintf("set auth 0 0 %d\r\n%s\r\n", len(body), body)
}

// figure is what the server says of itself.
func (s *server) figure(name string) float64 {
	s.t.Helper()
	status, text := s.ask("GET", "/metrics", "Bearer "+theKey, "")
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return f
		}
	}
	s.t.Fatalf("no %s in the metrics: %d", name, status)
	return 0
}

// settles waits until the server has no more goroutines than it had while it was calm, but for
// those of a few idle connections of the tests' own.
func (s *server) settles() {
	s.t.Helper()
	const own = 12
	http.DefaultClient.CloseIdleConnections()
	var n float64
	for end := time.Now().Add(tooLong); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if n = s.figure("go_goroutines"); n <= s.goroutines+own {
			return
		}
	}
	s.t.Errorf("the server has %v goroutines; %v while it was calm", n, s.goroutines)
}

// rest is talk over a connection that is open.
func (s *server) rest(nc *net.TCPConn, r io.Reader, send string, done bool) string {
	s.t.Helper()
	var writing sync.WaitGroup
	writing.Go(func() { // a door that refuses does not read all
		io.WriteString(nc, send)
		if done {
			nc.CloseWrite()
		}
	})
	got, err := io.ReadAll(r)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		s.t.Errorf("%.60q is neither answered nor cut", send)
	}
	nc.Close()
	writing.Wait()
	return string(got)
}
