package hostile

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/rights"
)

// A credential is what somebody shows who is not to be let in, as an HTTP header and as the key of
// a login.
type credential struct{ name, header, key string }

// foreign are such, among them a token that was revoked and one that has expired.
func (s *server) foreign() []credential {
	s.t.Helper()
	gone := s.token("gone", "admin", "*")
	s.revoke("gone", gone)
	over := s.expired()
	live := s.token("live", "admin", "*")
	id, _, _ := strings.Cut(strings.TrimPrefix(live, "gq_"), "_")
	return []credential{
		{"no key", "", ""},
		{"a wrong key", "Bearer wrong", "wrong"},
		{"an empty key", "Bearer ", ""},
		{"Basic", "Basic " + theKey, ""},
		{"the key without a scheme", theKey, ""},
		{"the key and more", "Bearer " + theKey + "x", theKey + "x"},
		{"a part of the key", "Bearer " + theKey[:len(theKey)-1], theKey[:len(theKey)-1]},
		{"a revoked token", "Bearer " + gone, gone},
		{"an expired token", "Bearer " + over, over},
		{"a token's id with another secret", "Bearer gq_" + id + strings.Repeat("A", len(live)-len(id)-3), "gq_" + id + "_x"},
		{"a token's id alone", "Bearer gq_" + id, "gq_" + id},
	}
}

// expired is a token that the server has read, and whose time is over.
func (s *server) expired(args ...string) string {
	s.t.Helper()
	over := s.make("over", "admin", "*", append(args, "--expires", "1s")...)
	s.token("later", "read", "nothing") // known: the file has been read since
	for {
		if status, _ := s.ask("GET", "/v1/whoami", "Bearer "+over, ""); status == http.StatusUnauthorized {
			return over
		}
	}
}

// TestKeysHTTP: every route of the table, with every credential that is none, is refused with 401
// before anything else is looked at, and says nothing of what is there.
func TestKeysHTTP(t *testing.T) {
	t.Parallel()
	s := start(t)
	if _, err := s.admin.Put(t.Context(), []glassq.Task{{Queue: "there", Run: "there", Body: []byte("told to nobody")}}); err != nil {
		t.Fatal(err)
	}
	credentials := s.foreign()
	wrong := 0
	for verb := range rights.Rules {
		for _, pattern := range rights.Rules[verb].HTTP {
			method, path, ok := strings.Cut(pattern, " ")
			if !ok {
				method, path = "GET", "/nothing"
			}
			for _, c := range credentials {
				if c.header != "" && rights.Rules[verb].Needs != 0 { // these are refused one after the other, at 4 a second
					if wrong++; !*full && wrong > 3*len(credentials) {
						continue
					}
				}
				at := strings.NewReplacer("{queue}", "there", "{run}", "there", "{name}", "task.json", "{id}", "there~0",
					"{n}", "0").Replace(path)
				status, answer := s.ask(method, at, c.header, `{"token":"1.there"}`)
				cases.Add(1)
				want := http.StatusUnauthorized
				if rights.Rules[verb].Needs == 0 {
					want = http.StatusOK
				}
				if status != want || strings.Contains(answer, "told to nobody") {
					t.Errorf("%s: %s %s = %d %.200s; want %d", c.name, method, at, status, answer, want)
				}
			}
		}
	}
	queues, err := s.admin.Queues(t.Context(), "there")
	if err != nil || queues[0].Ready != 1 {
		t.Errorf("the queue is %+v, %v; want it untouched", queues, err)
	}
	s.settles()
}

// commands are the commands of the memcached door, by the names that the table has for them.
var commands = map[string]string{
	"set Q": "set Q 0 0 1\r\nx\r\n", "add Q": "add Q 0 0 1\r\nx\r\n", "ms Q": "ms Q 1\r\nx\r\n",
	"set Q/run=R": "set Q/run=r 0 0 1\r\nx\r\n", "set Q/ack=L": "set Q/ack=9 0 0 1\r\nx\r\n",
	"cas Q L": "cas Q 0 0 1 9\r\nx\r\n", "ms Q CL": "ms Q 1 C9\r\nx\r\n", "set Q/L/nack": "set Q/9/nack 0 0 0\r\n\r\n",
	"ms Q/L/nack": "ms Q/9/nack 0\r\n\r\n", "touch Q/L": "touch Q/9 10\r\n", "mg Q/L T": "mg Q/9 T10\r\n",
	"delete Q/L": "delete Q/9\r\n", "md Q/L": "md Q/9\r\n", "md Q CL": "md Q C9\r\n", "gat Q": "gat 10 Q\r\n",
	"gats Q/open": "gats 10 Q/open\r\n",
}

// TestKeysMemcached: no command of the table does anything before a login, and one wrong login ends
// a connection.
func TestKeysMemcached(t *testing.T) {
	t.Parallel()
	s := start(t)
	if _, err := s.admin.Put(t.Context(), []glassq.Task{{Queue: "there", Body: []byte("told to nobody")}}); err != nil {
		t.Fatal(err)
	}
	credentials := s.foreign()
	wrong := 0
	for verb := range rights.Rules {
		for _, form := range rights.Rules[verb].Memcached {
			line := commands[form]
			if line == "" {
				line = form + "\r\n"
			}
			line = strings.ReplaceAll(line, "Q", "there")
			for _, c := range credentials {
				if c.name != "no key" && c.key == "" || form == "quit" {
					continue
				}
				if c.key != "" { // these are refused one after the other, at 4 a second
					if wrong++; !*full && wrong > 2*len(credentials) {
						continue
					}
				}
				send := line
				if c.key != "" {
					send = login(c.key) + line
				}
				got := s.talk(s.lines, send, true)
				cases.Add(1)
				// A body after a command that is refused is taken for a command, which ends the
				// connection. A set is taken for a login.
				if !strings.HasPrefix(got, "CLIENT_ERROR unauthenticated") || strings.Contains(got, "STORED") ||
					strings.Contains(got, "told to nobody") {
					t.Errorf("%s: %q = %q", c.name, send, got)
				}
			}
		}
	}
	queues, err := s.admin.Queues(t.Context(), "there")
	if err != nil || queues[0].Ready != 1 {
		t.Errorf("the queue is %+v, %v; want it untouched", queues, err)
	}
	s.settles()
}

// TestKeysPython: what proves no key, or another one's proof, lets nobody in at the Python door.
func TestKeysPython(t *testing.T) {
	t.Parallel()
	s := start(t)
	heard := s.knock()
	old, err := heard.challenge()
	if err != nil {
		t.Fatal(err)
	}
	plain := s.token("plain", "admin", "*") // made without --manager
	python := s.token("python", "admin", "*", "--manager")
	if p := s.greet(python); p == nil {
		t.Fatal("a token made with --manager is not let in")
	}
	s.revoke("python", python)
	over := s.expired("--manager")
	request := "\x80\x04N\x8c\x05dummy)}t."
	for _, tt := range []struct {
		name string
		send func(challenge []byte) []string
	}{
		{"a wrong key", func(c []byte) []string { return []string{string(answerTo(c, "wrong"))} }},
		{"an empty key", func(c []byte) []string { return []string{string(answerTo(c, ""))} }},
		{"a replayed challenge", func([]byte) []string { return []string{string(answerTo(old, theKey))} }},
		{"its own challenge back", func(c []byte) []string { return []string{"#CHALLENGE#" + string(c)} }},
		{"its own challenge as the answer", func(c []byte) []string { return []string{string(c)} }},
		{"a welcome", func([]byte) []string { return []string{"#WELCOME#"} }},
		{"a request at once", func([]byte) []string { return []string{request} }},
		{"a wrong proof and a request", func(c []byte) []string { return []string{string(answerTo(c, "x")), "#WELCOME#", request} }},
		{"a digest that there is not", func([]byte) []string { return []string{"{crc32}1234"} }},
		{"an unnamed half of a proof", func(c []byte) []string { return []string{string(answerTo(c, theKey)[8:24])} }},
		{"the proof of another digest's name", func(c []byte) []string {
			return []string{"{sha3_256}" + string(answerTo(c, theKey)[8:])}
		}},
		{"the proof cut short", func(c []byte) []string { return []string{string(answerTo(c, theKey)[:39])} }},
		{"the proof and more", func(c []byte) []string { return []string{string(answerTo(c, theKey)) + "x"} }},
		{"a token made without --manager", func(c []byte) []string { return []string{string(answerTo(c, plain))} }},
		{"a revoked token", func(c []byte) []string { return []string{string(answerTo(c, python))} }},
		{"an expired token", func(c []byte) []string { return []string{string(answerTo(c, over))} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cases.Add(1)
			p := s.knock()
			defer p.nc.Close()
			c, err := p.challenge()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range tt.send(c) {
				p.send([]byte(m)) // the door may have gone after the first
			}
			b, err := p.read()
			if err == nil && string(b) != "#FAILURE#" {
				t.Errorf("the door says %q", b)
			}
			if rest, _ := io.ReadAll(p.r); len(rest) > 0 {
				t.Errorf("then %q; want the end", rest)
			}
		})
	}
	// The client's own challenge is not answered before it has shown the key: the door is nobody's
	// oracle.
	p := s.knock()
	p.challenge()
	p.send([]byte("#CHALLENGE#{sha256}0123456789012345678901234567890123456789"))
	if b, _ := io.ReadAll(p.r); strings.Contains(string(b), string(answerTo([]byte("{sha256}0123456789012345678901234567890123456789"), theKey)[8:])) {
		t.Error("the door answers the challenge of a stranger")
	}
	cases.Add(1)
	s.served()
	s.settles()
}

// TestMidConnection: what was let in by a token is cut when that is revoked, rotated away or
// expires, at each door, and what it waits for ends.
func TestMidConnection(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tt := range []struct{ name, args string }{{"revoked", ""}, {"expires", "--expires 10s"}} {
		if tt.args != "" && !*full {
			continue // it takes its time
		}
		t.Run(tt.name, func(t *testing.T) {
			key := s.token("mid", "work,put", "*", append(strings.Fields(tt.args), "--manager")...)
			python := s.greet(key)
			idle, waits := s.dial(s.lines), s.dial(s.lines)
			io.WriteString(idle, login(key))
			line, _ := bufio.NewReader(idle).ReadString('\n')
			if python == nil || line != "STORED\r\n" {
				t.Skip("the token was over before it was shown") // on a machine that stands still for 10 s
			}
			io.WriteString(waits, login(key)+"get wait/t=600000\r\n")
			poll := make(chan int, 1)
			go func() {
				status, _ := s.ask("POST", "/v1/queues/wait/reserve?wait=10m", "Bearer "+key, "")
				poll <- status
			}()
			for tt.args == "" { // both wait
				q, err := s.admin.Queues(t.Context(), "wait")
				if err == nil && q[0].Waiters == 2 {
					break
				}
			}
			if tt.args == "" {
				s.revoke("mid", key)
			}
			if status := <-poll; status != http.StatusUnauthorized {
				t.Errorf("a wait over HTTP ends with %d; want 401", status)
			}
			for name, nc := range map[string]io.Reader{"idle": idle, "waiting": waits, "Python": python.r} {
				cases.Add(1)
				if b, err := io.ReadAll(nc); strings.Contains(string(b), "VALUE") || isTimeout(err) {
					t.Errorf("%s: %q, %v; want the end", name, b, err)
				}
			}
			for {
				q, err := s.admin.Queues(t.Context(), "wait")
				if err != nil || q[0].Waiters == 0 {
					break
				}
			}
		})
	}
	s.served()
	s.settles()
}

func isTimeout(err error) bool { return err != nil && os.IsTimeout(err) }
