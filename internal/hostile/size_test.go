package hostile

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

// TestSizes: what is too large, too many, too deep or no number is refused with a status and a
// sentence, at each door.
func TestSizes(t *testing.T) {
	t.Parallel()
	s := start(t, "--max-body", "1MiB")
	const put, text, lines = "/v1/queues/sized/tasks", "text/plain", "application/x-ndjson"
	big, huge := strings.Repeat("x", 1<<20+1), strings.Repeat("x", 49<<20)
	name := strings.Repeat("q", 201)
	deep := strings.Repeat("[", 100000)
	encoded := base64.StdEncoding.EncodeToString([]byte(big))
	for _, tt := range []struct {
		name, method, path, kind, body string
		want                           int
	}{
		{"a body", "POST", put, text, big, 413},
		{"a request", "POST", put, text, huge, 413},
		{"a body in JSON", "POST", put, "application/json", `{"body":"` + big + `"}`, 413},
		{"a body in base64", "POST", put, "application/json", `{"b64":"` + encoded + `"}`, 413},
		{"base64 that is none", "POST", put, "application/json", `{"b64":"????"}`, 400},
		{"too many tasks", "POST", put, lines, strings.Repeat("{\"body\":\"\"}\n", 10001), 413},
		{"lines without end", "POST", put, lines, huge, 413},
		{"brackets without end", "POST", put, "application/json", deep, 400},
		{"objects without end", "POST", put, "application/json", strings.Repeat(`{"a":`, 100000), 400},
		{"a number of a million digits", "POST", put, "application/json", `{"body":"","priority":` + strings.Repeat("9", 1<<20) + `}`, 400},
		{"an exponent", "POST", put, "application/json", `{"body":"","delay":1e999999999}`, 400},
		{"a delay below nothing", "POST", put, "application/json", `{"body":"","delay":-1}`, 400},
		{"a priority of ten", "POST", put, "application/json", `{"body":"","priority":10}`, 400},
		{"attempts beyond all", "POST", put, "application/json", `{"body":"","attempts":4294967296}`, 400},
		{"a long id", "POST", put, "application/json", `{"body":"","id":"` + strings.Repeat("i", 1<<16) + `"}`, 400},
		{"a long run", "POST", put, "application/json", `{"body":"","run":"` + name + `"}`, 400},
		{"a long queue for results", "POST", put, "application/json", `{"body":"","result":"` + name + `"}`, 400},
		{"a queue's name with an escape", "POST", "/v1/queues/a%1b%5b2J/tasks", text, "x", 400},
		{"a queue's name with a line", "POST", "/v1/queues/a%0ab/tasks", text, "x", 400},
		{"a queue's name with NUL", "POST", "/v1/queues/a%00/tasks", text, "x", 400},
		{"a long queue", "POST", "/v1/queues/" + name + "/tasks", text, "x", 400},
		{"a reserve of too many", "POST", "/v1/queues/sized/reserve?max=99999999999999999999", "", "", 400},
		{"a reserve of less than none", "POST", "/v1/queues/sized/reserve?max=-1", "", "", 400},
		{"a lease of a year", "POST", "/v1/queues/sized/reserve?lease=8760h", "", "", 400},
		{"a wait that is none", "POST", "/v1/queues/sized/reserve?wait=soon", "", "", 400},
		{"a peek from nowhere", "GET", "/v1/queues/sized/peek?cursor=x", "", "", 400},
		{"a state that there is not", "GET", "/v1/queues/sized/peek?state=secret", "", "", 400},
		{"settings of 2 MiB", "PATCH", "/v1/queues/sized", "application/json", `{"x":"` + big + big + `"}`, 413},
		{"settings that there are not", "PATCH", "/v1/queues/sized", "application/json", `{"max_tasks":-1}`, 400},
		{"a cancel of nothing", "POST", "/v1/runs/none/cancel", "", "", 404},
		{"a purge of nothing", "POST", "/v1/queues/none/purge", "", "", 404},
		{"a total that is none", "POST", "/v1/runs/sized", "application/json", `{"sealed":true,"total":-1}`, 400},
		{"a position of 2^63", "GET", "/v1/runs/sized/tasks/9223372036854775808", "", "", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cases.Add(1)
			status, answer := s.ask(tt.method, tt.path, "Bearer "+theKey, tt.body, "Content-Type", tt.kind)
			if status != tt.want || !strings.Contains(answer, `"message":"`) || len(answer) > 4096 || strings.ContainsAny(answer, "\x1b\x00") {
				t.Errorf("= %d %.300q; want %d and a sentence", status, answer, tt.want)
			}
		})
	}
	for _, tt := range []struct{ name, token string }{
		{"no token", ``}, {"a token that is none", `x`}, {"a token without a queue", `1.`}, {"a number below nothing", `-1.sized`},
		{"a number beyond all", `99999999999999999999.sized`}, {"a long token", strings.Repeat("1", 1<<16) + ".sized"},
		{"a queue with an escape", `1.\u001b[2J`},
	} {
		for _, verb := range []string{"ack", "nack", "extend"} {
			t.Run(tt.name+", "+verb, func(t *testing.T) {
				cases.Add(1)
				status, answer := s.ask("POST", "/v1/"+verb, "Bearer "+theKey, `{"token":"`+tt.token+`"}`)
				if !strings.Contains(answer, `"error":{"code":"`) || strings.Contains(answer, "\x1b") || len(answer) > 4096 {
					t.Errorf("= %d %.300q; want an error", status, answer)
				}
			})
		}
	}
	for _, tt := range []struct{ name, send, want string }{
		{"a body", "set sized 0 0 1048577\r\n" + big + "\r\n", "SERVER_ERROR object too large"},
		{"a length beyond 64 bits", "set sized 0 0 99999999999999999999\r\n", "CLIENT_ERROR"},
		{"a length below nothing", "set sized 0 0 -1\r\n", "CLIENT_ERROR"},
		{"a length that is none", "set sized 0 0 1e3\r\n", "CLIENT_ERROR"},
		{"flags beyond 32 bits", "set sized 4294967296 0 1\r\nx\r\n", "CLIENT_ERROR"},
		{"a name", "set " + name + " 0 0 1\r\nx\r\n", "CLIENT_ERROR"},
		{"names", "get " + strings.Repeat("q ", 40000) + "\r\n", "CLIENT_ERROR"},
		{"options", "get sized" + strings.Repeat("/t=1", 600) + "\r\n", "CLIENT_ERROR"},
		{"a wait beyond all", "get sized/t=99999999999999999999\r\n", "CLIENT_ERROR"},
		{"a lease number beyond all", "delete sized/99999999999999999999\r\n", "CLIENT_ERROR"},
		{"a name with an escape", "get \x1b[2J\r\n", "CLIENT_ERROR"},
		{"a verb with an escape", "\x1b[2J\r\n", "ERROR"},
		{"an option with an escape", "get sized/\x1b[2J\r\n", "CLIENT_ERROR"},
		{"a line", strings.Repeat("g", 1<<20) + "\r\n", "CLIENT_ERROR line too long"},
	} {
		t.Run("memcached: "+tt.name, func(t *testing.T) {
			cases.Add(1)
			got := strings.TrimPrefix(s.talk(s.lines, login(theKey)+tt.send, true), "STORED\r\n")
			if !strings.HasPrefix(got, tt.want) || strings.ContainsAny(got, "\x1b\x00") {
				t.Errorf("= %.300q; want %s", got, tt.want)
			}
		})
	}
	t.Run("memcached: a login", func(t *testing.T) {
		cases.Add(1)
		if got := s.talk(s.lines, "set auth 0 0 99999\r\n"+big, true); !strings.HasPrefix(got, "CLIENT_ERROR") {
			t.Errorf("= %q", got)
		}
	})
	if q, err := s.admin.Queues(t.Context(), "sized"); err == nil && q[0].Ready != 0 {
		t.Errorf("the queue holds %d tasks; want none", q[0].Ready)
	}
	if status, _ := s.ask("GET", "/readyz", "", ""); status != http.StatusOK {
		t.Errorf("readyz = %d", status)
	}
	s.served()
	s.settles()
}

// TestPickles: no hostile pickle of the manager door's own table is run, nor makes a real server
// grow.
func TestPickles(t *testing.T) {
	t.Parallel()
	s := start(t)
	table, err := os.ReadFile(filepath.Join("..", "door", "manager", "pickle", "testdata", "hostile.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), "\t")
		code, _, _ := strings.Cut(rest, "\t")
		if strings.HasPrefix(line, "#") || code == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			cases.Add(1)
			var in []byte
			for part := range strings.FieldsSeq(code) { // xx*n repeats
				digits, times, _ := strings.Cut(part, "*")
				n, err := strconv.Atoi(times)
				if err != nil {
					n = 1
				}
				b, err := hex.DecodeString(digits)
				if err != nil {
					t.Fatal(err)
				}
				in = append(in, strings.Repeat(string(b), n)...)
			}
			p := s.greet(theKey)
			if p == nil {
				t.Fatal("not let in")
			}
			go p.send(in) // ends with the connection, at the latest
			b, err := p.read()
			p.nc.Close()
			if err == nil && strings.Contains(string(b), "#RETURN") {
				t.Errorf("as a first request it is answered %q", b)
			}
		})
	}
	if q, err := s.admin.Queues(t.Context(), "tasks"); glassq.CodeOf(err) != glassq.CodeNotFound {
		t.Errorf("the queue is %+v, %v", q, err)
	}
	s.served()
	if grown := s.figure("process_resident_memory_bytes") - s.heldBytes; grown > 256<<20 {
		t.Errorf("the server grew by %s", fmt.Sprintf("%.0f MiB", grown/(1<<20)))
	}
	s.settles()
}
