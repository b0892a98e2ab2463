package httpdoor

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
)

// TestLongLists: answers without bodies have room too, where they are long.
func TestLongLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := door.NewAnswers(8<<20, nil)
		s := New(openStore(t), Options{Frame: door.Frame{Answers: answers}})
		other := answers.Begin(nil, 1, nil)
		if !other.Try(7 << 20) {
			t.Fatal("no room")
		}
		tasks := strings.Repeat(fmt.Sprintf("{\"id\":\"%s\",\"body\":1}\n", strings.Repeat("x", 100)), 9_000)
		told := make(chan string, 1)
		go func() {
			_, got := ask(s, "POST", "/v1/queues/q/tasks", typeNDJSON, tasks)
			told <- got
		}()
		synctest.Wait()
		if len(told) != 0 {
			t.Fatal("an answer of 9,000 receipts takes no room")
		}
		if status, _ := ask(s, "GET", "/v1/queues", "", ""); status != 200 {
			t.Errorf("a short list = %d", status)
		}
		other.Done()
		if got := <-told; strings.Count(got, "\n") != 9_000 {
			t.Errorf("%d receipts; want all", strings.Count(got, "\n"))
		}
		if n := answers.Taken(); n != 0 {
			t.Errorf("%d bytes are taken in the end", n)
		}
	})
}

// TestCutReaders: whoever does not read is cut while others wait for room, the log says so, and
// what was handed out is ready again, with no attempt counted. A client that reads gets everything.
func TestCutReaders(t *testing.T) {
	const size = 6 << 20 // larger than what the sockets hold
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	answers := door.NewAnswers(2*(size+1<<10)/7*8, logger)
	b := openStore(t)
	s := New(b, Options{Frame: door.Frame{Answers: answers, Log: logger}})
	addr := inDoor(t, s)
	body := bytes.Repeat([]byte("\x00"), size) // six times as long in JSON
	for range 4 {
		if _, err := b.Put(t.Context(), []glassq.Task{{Queue: "q", Body: body, Type: glassq.TypeText}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 { // each with one task, for which there is room
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.(*net.TCPConn).SetReadBuffer(64 << 10)
		fmt.Fprintf(nc, "POST /v1/queues/q/reserve?max=%d&lease=12h HTTP/1.1\r\nHost: localhost\r\n\r\n", i+1)
		if line, err := bufio.NewReaderSize(nc, 16).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("reader %d: %q, %v", i, line, err)
		}
	}
	for i := range 3 { // the last of them was handed out before
		resp, err := http.Post("http://"+addr+"/v1/queues/q/reserve", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || err != nil || len(got) < 6*size || !bytes.Contains(got, []byte(`"attempt":1,`)) {
			t.Fatalf("lease %d = %d, %d bytes, %v; want a first attempt", i, resp.StatusCode, len(got), err)
		}
	}
	if !strings.Contains(log.String(), "read its answer too slowly") {
		t.Errorf("the log says nothing of it:\n%s", &log)
	}
}

// TestTakenWhole: with take a large task is gone when it has left, and ready again when its client
// went away before.
func TestTakenWhole(t *testing.T) {
	const size = 6 << 20
	b := openStore(t)
	s := New(b, Options{})
	addr := inDoor(t, s)
	if _, err := b.Put(t.Context(), []glassq.Task{{Queue: "q", Body: make([]byte, size)}}); err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	nc.(*net.TCPConn).SetReadBuffer(64 << 10)
	io.WriteString(nc, "POST /v1/queues/q/reserve?take=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
	bufio.NewReaderSize(nc, 16).ReadString('\n')
	nc.Close()
	for _, tt := range []struct{ query, want string }{{"?take=true&wait=1m", "200"}, {"", "204"}} {
		status, got := ask(s, "POST", "/v1/queues/q/reserve"+tt.query, "", "")
		if fmt.Sprint(status) != tt.want || strings.Contains(got, `"token"`) {
			t.Fatalf("reserve%s = %d with a token: %v; want %s without one", tt.query, status, strings.Contains(got, `"token"`), tt.want)
		}
	}
	q, err := b.Queues(t.Context(), "q")
	if err != nil || q[0].Books.OK != 1 || q[0].Pending != 0 {
		t.Errorf("the queue has %+v, %v; want one ok", q, err)
	}
}
