package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/rights"
	"github.com/spf13/cobra"
)

// A tokenServer is a server with a key and tokens.
type tokenServer struct {
	t                *testing.T
	file, url, lines string // the tokens; the HTTP and the memcached door
	admin            *client.Client
}

func startTokenServer(t *testing.T, args ...string) *tokenServer {
	t.Helper()
	dir := t.TempDir()
	s := &tokenServer{t: t, file: filepath.Join(dir, "tokens"), lines: freeAddress(t)}
	s.token("first", "read", "nothing")
	key := write(t, filepath.Join(dir, "key"), "the key of the server\n")
	p := start(t, nil, append([]string{"serve", "--store", "mem:", "--http", "127.0.0.1:0", "--memcached", s.lines,
		"--key-file", key, "--token-file", s.file}, args...)...)
	s.url = "http://" + p.addr()
	s.admin = s.client("the key of the server")
	return s
}

// token makes a token by the command, which prints it.
func (s *tokenServer) token(name, may, queues string, args ...string) string {
	s.t.Helper()
	out, errs, code := invoke(s.t, "", nil, append([]string{"token", "new", name, "--may", may, "--queue", queues,
		"--token-file", s.file}, args...)...)
	if code != 0 || !strings.HasPrefix(out, "gq_") {
		s.t.Fatalf("token new %s = %d, %q, %s", name, code, out, errs)
	}
	return strings.TrimSpace(out)
}

func (s *tokenServer) revoke(name string) {
	s.t.Helper()
	if _, errs, code := invoke(s.t, "", nil, "token", "revoke", name, "--token-file", s.file); code != 0 {
		s.t.Fatalf("token revoke %s = %d, %s", name, code, errs)
	}
}

func (s *tokenServer) client(key string) *client.Client {
	s.t.Helper()
	c, err := client.New(s.url, client.Options{Key: key})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// known waits until the server knows a token.
func (s *tokenServer) known(key string) *client.Client {
	s.t.Helper()
	c := s.client(key)
	for {
		_, err := c.Whoami(s.t.Context())
		if err == nil {
			return c
		}
		if glassq.CodeOf(err) != glassq.CodeUnauthorized || s.t.Context().Err() != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *tokenServer) request(key, method, path, body string) (status int, answer string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
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

// A lineClient is a client of the memcached door.
type lineClient struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

func (s *tokenServer) login(key string) *lineClient {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.lines)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	c := &lineClient{s.t, nc, bufio.NewReader(nc)}
	body := "ci:" + key
	if got := c.ask(fmt.Sprintf("set auth 0 0 %d\r\n%s\r\n", len(body), body)); got != "STORED" {
		s.t.Fatalf("login = %q", got)
	}
	return c
}

// ask sends a command and returns the first line of the answer.
func (c *lineClient) ask(send string) string {
	c.t.Helper()
	fmt.Fprint(c.nc, send)
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("%q = %q, %v", send, line, err)
	}
	return strings.TrimRight(line, "\r\n")
}

// rest reads the rest of an answer that ends with END.
func (c *lineClient) rest(line string) {
	c.t.Helper()
	var err error
	for line != "END" && err == nil {
		line, err = c.r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

var scopeWords = []string{"put", "work", "read", "admin"}

// may tells whether a token with a scope on mine.* may do a verb with a queue or run.
func may(verb int, scope, name string) bool {
	r := &rights.Rules[verb]
	s, err := rights.ParseScopes([]string{scope})
	if err != nil {
		panic(err)
	}
	switch {
	case r.Needs == 0:
		return true
	case r.Needs&s == 0 || r.Of == rights.OfAll:
		return false
	}
	return r.Of == rights.OfNothing || strings.HasPrefix(name, "mine.")
}

// TestScopesHTTP: every route of the table, with every scope, on a queue of one's own and
// another's, which is there.
func TestScopesHTTP(t *testing.T) {
	t.Parallel()
	s := startTokenServer(t)
	keys := map[string]string{}
	for _, scope := range scopeWords {
		keys[scope] = s.token("ci-"+scope, scope, "mine.*")
		s.known(keys[scope])
	}
	n := 0
	for verb := range rights.Rules {
		for _, pattern := range rights.Rules[verb].HTTP {
			method, path, ok := strings.Cut(pattern, " ")
			if !ok {
				method, path = "GET", "/nothing"
			}
			for _, scope := range scopeWords {
				for _, owner := range []string{"mine", "foreign"} {
					for _, q := range []string{"mine", "foreign"} { // which are there, and the other's stays untouched
						if _, err := s.admin.Put(t.Context(), []glassq.Task{{Queue: q + ".q", Run: q + ".r"}}); err != nil {
							t.Fatal(err)
						}
						if _, err := s.admin.SetSchedule(t.Context(), q+".s", glassq.ScheduleChange{Cron: "@yearly",
							Task: glassq.Envelope(`{"queue":"` + q + `.q","body":1}`)}); err != nil {
							t.Fatal(err)
						}
					}
					of := path
					body := ""
					if rights.Rules[verb].Of == rights.OfQueue && !strings.Contains(path, "{") {
						body = fmt.Sprintf(`{"token":"1.%s.q"}`, owner)
					}
					if path == "/v1/events" {
						of += "?wait=1ms&queue=" + owner + ".q"
					}
					switch verb {
					case int(rights.VerbReadRun):
						body = `{"reader":"me"}`
					case int(rights.VerbSetSchedule):
						body = `{"paused":true}`
					}
					if path == "/v1/queues" && method == "GET" {
						of += "?name=" + owner + ".q"
					}
					of = strings.NewReplacer("{queue}", owner+".q", "{run}", owner+".r", "{schedule}", owner+".s",
						"{name}", "task.json", "{id}", "~1", "{n}", "0").Replace(of)
					want := may(verb, scope, owner+".q")
					if of == "/v1/runs" || of == "/v1/schedules" { // a list, which shows what may be seen
						want = may(verb, scope, "mine.r")
					}
					status, answer := s.request(keys[scope], method, of, body)
					n++
					forbidden := status == http.StatusForbidden && strings.Contains(answer, `"forbidden"`)
					if forbidden == want || status == http.StatusUnauthorized {
						t.Errorf("%s on %s.*: %s %s = %d %s; it may: %v", scope, "mine", method, of, status, answer, want)
					}
					if forbidden && !strings.Contains(answer, "lacks the scope "+rights.Rules[verb].Needs.String()) {
						t.Errorf("%s %s: %s does not name the scope", method, of, answer)
					}
					if strings.Contains(answer, "foreign") && owner != "foreign" {
						t.Errorf("%s %s tells of another's: %s", method, of, answer)
					}
				}
			}
		}
	}
	if n < 150 {
		t.Errorf("%d requests; the table has more", n)
	}
	// What is not there is refused in the same words.
	_, there := s.request(keys["read"], "GET", "/v1/queues/foreign.q", "")
	_, absent := s.request(keys["read"], "GET", "/v1/queues/foreign.x", "")
	if strings.ReplaceAll(absent, "foreign.x", "foreign.q") != there {
		t.Errorf("a queue that is there: %s; one that is not: %s", there, absent)
	}
}

// TestScopesMemcached: every command of the table in the same way.
func TestScopesMemcached(t *testing.T) {
	t.Parallel()
	s := startTokenServer(t)
	wire := map[string]string{
		"set Q": "set Q 0 0 1\r\nx\r\n", "add Q": "add Q 0 0 1\r\nx\r\n", "ms Q": "ms Q 1\r\nx\r\n",
		"set Q/run=R": "set mine.q/run=R 0 0 1\r\nx\r\n", "set Q/ack=L": "set Q/ack=9 0 0 1\r\nx\r\n",
		"cas Q L": "cas Q 0 0 1 9\r\nx\r\n", "ms Q CL": "ms Q 1 C9\r\nx\r\n", "delete Q/L": "delete Q/9\r\n",
		"md Q/L": "md Q/9\r\n", "md Q CL": "md Q C9\r\n", "set Q/L/nack": "set Q/9/nack 0 0 0\r\n\r\n",
		"ms Q/L/nack": "ms Q/9/nack 0\r\n\r\n", "touch Q/L": "touch Q/9 10\r\n", "mg Q/L T": "mg Q/9 T10\r\n",
		"get Q": "get Q\r\n", "gets Q/open": "gets Q/open\r\n", "get Q/open": "get Q/open\r\n", "gat Q": "gat 10 Q\r\n",
		"gats Q/open": "gats 10 Q/open\r\n", "mg Q v": "mg Q v\r\n", "mg Q v c": "mg Q v c\r\n", "get Q/peek": "get Q/peek\r\n",
		"mg Q": "mg Q\r\n", "me Q": "me Q\r\n", "flush Q": "flush Q\r\n", "flush_all": "flush_all\r\n", "delete Q": "delete Q\r\n",
		"md Q": "md Q\r\n", "stats": "stats\r\n", "stats queue": "stats queue\r\n", "stats settings": "stats settings\r\n",
		"stats reset": "stats reset\r\n", "version": "version\r\n", "verbosity": "verbosity 1\r\n", "mn": "mn\r\n",
	}
	n := 0
	for _, scope := range scopeWords {
		key := s.token("ci-"+scope, scope, "mine.*")
		s.known(key)
		c := s.login(key)
		for verb := range rights.Rules {
			for _, form := range rights.Rules[verb].Memcached {
				if form == "quit" {
					continue // there is no answer
				}
				for _, owner := range []string{"mine", "foreign"} {
					line := strings.NewReplacer("Q", owner+".q", "R", owner+".r").Replace(wire[form])
					if line == "" {
						t.Fatalf("%s is not in the test", form)
					}
					got := c.ask(line)
					n++
					want := may(verb, scope, owner+".q") || rights.Rules[verb].Of == rights.OfEach && may(verb, scope, "mine.q")
					if forbidden := strings.HasPrefix(got, "CLIENT_ERROR forbidden: token ci-"+scope+" lacks the scope "); forbidden == want {
						t.Errorf("%s: %q = %q; it may: %v", scope, line, got, want)
					}
					switch {
					case strings.HasPrefix(got, "VALUE"), strings.HasPrefix(got, "STAT"):
						c.rest(got)
					case strings.HasPrefix(got, "VA "):
						c.ask("")
					}
					if form == "get Q/open" && want {
						c.rest(c.ask("get " + owner + ".q/abort\r\n"))
					}
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("%d commands; the table has more", n)
	}
}

// TestForeignLease: a lease that is another's cannot be ended by its number alone.
func TestForeignLease(t *testing.T) {
	t.Parallel()
	s := startTokenServer(t)
	key := s.token("ci", "work,put", "mine.*")
	s.known(key)
	if _, err := s.admin.Put(t.Context(), []glassq.Task{{Queue: "foreign.q"}, {Queue: "mine.q"}}); err != nil {
		t.Fatal(err)
	}
	c := s.login(key)
	for _, tt := range []struct{ queue, want string }{{"foreign.q", "NOT_STORED"}, {"mine.q", "STORED"}} {
		l, err := s.admin.Reserve(t.Context(), glassq.Reserve{Queue: tt.queue})
		if err != nil || len(l) != 1 {
			t.Fatal(l, err)
		}
		for range 2 { // a repeated one is told no more than the first one
			if got := c.ask(fmt.Sprintf("set mine.results/ack=%d 0 0 1\r\nx\r\n", l[0].Number)); got != tt.want {
				t.Errorf("ack of a lease of %s = %q; want %s", tt.queue, got, tt.want)
			}
		}
		errs, err := s.admin.Ack(t.Context(), []glassq.Ack{{Token: l[0].Token()}})
		if err != nil || errs[0] != nil {
			t.Errorf("the ack of the lease's own client: %v, %v", errs, err)
		}
	}
	q, err := s.admin.Queues(t.Context(), "mine.results")
	if err != nil || q[0].Books.Put != 1 {
		t.Errorf("results: %+v, %v; want 1", q, err)
	}
}

// TestRevoked: what is under way ends with its token, at each door, and what was leased goes to
// others.
func TestRevoked(t *testing.T) {
	t.Parallel()
	s := startTokenServer(t)
	key := s.token("ci", "work,put", "*")
	c := s.known(key)
	idle, busy, loop := s.login(key), s.login(key), s.login(key)
	for range 10 { // served by a loop by then
		if got := loop.ask("get q\r\n"); got != "END" {
			t.Fatal(got)
		}
	}
	if got := idle.ask("set q 0 0 1\r\nx\r\n"); got != "STORED" {
		t.Fatal(got)
	}
	idle.rest(idle.ask("get q/open\r\n"))
	fmt.Fprint(busy.nc, "get wait/t=600000\r\n")
	ended := make(chan error, 2)
	go func() {
		_, err := c.Reserve(t.Context(), glassq.Reserve{Queue: "wait", Wait: tooLong})
		ended <- err
	}()
	go func() {
		_, err := c.AwaitRun(t.Context(), "never", glassq.PhaseExists, tooLong)
		ended <- err
	}()
	settled(t, s.admin, "wait", func(q glassq.QueueInfo) bool { return q.Waiters == 2 })
	s.revoke("ci")
	for range 2 {
		if err := <-ended; glassq.CodeOf(err) != glassq.CodeUnauthorized {
			t.Errorf("a request of a revoked token = %v; want unauthorized", err)
		}
	}
	for name, l := range map[string]*lineClient{"idle": idle, "waiting": busy, "of a loop": loop} {
		if line, err := io.ReadAll(l.r); strings.Contains(string(line), "VALUE") {
			t.Errorf("the connection that is %s got %q, %v", name, line, err)
		}
	}
	settled(t, s.admin, "wait", func(q glassq.QueueInfo) bool { return q.Waiters == 0 })
	settled(t, s.admin, "q", func(q glassq.QueueInfo) bool { return q.Ready == 1 && q.Leased == 0 })
	if _, err := c.Whoami(t.Context()); glassq.CodeOf(err) != glassq.CodeUnauthorized {
		t.Errorf("a revoked token = %v", err)
	}
}

// TestTokenCommands: a token's life by the commands.
func TestTokenCommands(t *testing.T) {
	t.Parallel()
	s := startTokenServer(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "ci.key")
	do := func(code int, args ...string) (stdout, stderr string) {
		t.Helper()
		stdout, stderr, got := invoke(t, "", []string{"GLASSQ_TOKEN_FILE=" + s.file}, args...)
		if got != code {
			t.Errorf("glassq %q = %d, %s; want %d", args, got, stderr, code)
		}
		return stdout, stderr
	}
	do(0, "token", "new", "ci", "--may", "put,read", "--queue", "team-a.*", "--expires", "90d", "--out", out)
	do(2, "token", "new", "ci", "--may", "put", "--out", out)
	do(2, "token", "new", "ci", "--may", "put")
	do(2, "token", "new", "x", "--may", "fly")
	do(2, "token", "new", "x")
	do(1, "token", "revoke", "nobody")
	for { // until the server has seen it
		text, errs, code := invoke(t, "", nil, "token", "whoami", "--server", s.url, "--key-file", out)
		if code == 0 {
			if !strings.HasPrefix(text, "ci may put, read on team-a.*, expires: 20") {
				t.Errorf("whoami = %q", text)
			}
			break
		}
		if code != exitServer || !strings.Contains(errs, "wrong, or was revoked") {
			t.Fatalf("whoami = %d, %s", code, errs)
		}
	}
	stdout, _ := do(0, "token", "ls", "--json")
	if strings.Contains(stdout, "sha256") || !strings.Contains(stdout, `"name":"ci"`) {
		t.Errorf("token ls = %s", stdout)
	}
	if _, stderr := do(exitServer, "put", "body", "--queue", "team-b.x", "--server", s.url, "--key-file", out); !strings.Contains(stderr, "lacks the scope put for team-b.x") {
		t.Errorf("a put into another's queue: %s", stderr)
	}
	do(0, "put", "body", "--queue", "team-a.x", "--server", s.url, "--key-file", out)
	do(exitServer, "queue", "purge", "team-a.x", "--force", "--server", s.url, "--key-file", out)
	do(0, "token", "rotate", "ci", "--overlap", "1h", "--out", out+".new")
	s.known(readText(t, out+".new"))
	s.known(readText(t, out))
	do(0, "token", "new", "one", "--may", "read")
	for name, want := range map[string]string{"ci": "ci: 2 tokens revoked\n", "one": "one: 1 token revoked\n"} {
		if stdout, _ := do(0, "token", "revoke", name); stdout != want {
			t.Errorf("token revoke = %q, want %q", stdout, want)
		}
	}
}

// TestCommandsHaveRows: each command that speaks to a server says in the table what it needs, and
// no other does.
func TestCommandsHaveRows(t *testing.T) {
	a := &app{}
	var names []string
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if !cmd.HasSubCommands() && cmd.Flags().Lookup("server") != nil {
			names = append(names, strings.TrimPrefix(cmd.CommandPath(), "glassq "))
		}
	}
	walk(a.root())
	var rows []string
	text := readText(t, "../../docs/security.md")
	for _, row := range regexp.MustCompile("(?m)^\\| `glassq ([a-z ]+)` \\|").FindAllStringSubmatch(text, -1) {
		rows = append(rows, row[1])
	}
	slices.Sort(names)
	slices.Sort(rows)
	if !slices.Equal(names, rows) {
		t.Errorf("commands that speak to a server: %q; rows of the table: %q", names, rows)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
