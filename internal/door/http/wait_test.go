package httpdoor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/door"
)

// roomForOne is a server whose queue q holds one task at most.
func roomForOne(t *testing.T, opt Options) *Server {
	t.Helper()
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	b := broker.New(e, glassq.Limits{})
	one := int64(1)
	if _, err := b.Configure(t.Context(), "q", glassq.SettingsChange{MaxTasks: &one}); err != nil {
		t.Fatal(err)
	}
	return New(b, opt)
}

// A put with wait into a full queue is parked until there is room, and refused when the time is up.
func TestPutThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := roomForOne(t, Options{})
		const tasks = "/v1/queues/q/tasks"
		runSteps(t, s, []step{
			{"room", "POST", tasks + "?wait=10s", "text/plain", "a", 200, `"id":"~1"`},
			{"full", "POST", tasks, "text/plain", "b", 429, "queue_full"},
			{"no wait", "POST", tasks + "?wait=x", typeJSON, `{"body":"b"}`, 400, "wait"},
			{"could never fit", "POST", tasks + "?wait=10s", typeNDJSON, "{\"body\":1}\n{\"body\":2}\n", 429, "queue_full"},
		})
		began := time.Now()
		if status, got := ask(s, "POST", tasks+"?wait=10s", typeJSON, `{"body":"b"}`); status != 429 ||
			time.Since(began) != 10*time.Second {
			t.Errorf("a put that waits in vain = %d %s after %v; want 429 after 10s", status, got, time.Since(began))
		}

		// Two wait; room for one comes, and one goes away.
		put := func(ctx context.Context, body string) <-chan int {
			status := make(chan int, 1)
			go func() {
				r := httptest.NewRequestWithContext(ctx, "POST", "http://localhost"+tasks+"?wait=1h", strings.NewReader(body))
				r.Header.Set("Content-Type", typeNDJSON)
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				status <- w.Code
			}()
			synctest.Wait()
			return status
		}
		first := put(t.Context(), `{"body":"first"}`)
		leaving, leave := context.WithCancel(t.Context())
		second := put(leaving, `{"body":"second"}`)
		third := put(t.Context(), `{"body":"third"}`)
		take := func(want string) {
			t.Helper()
			status, got := ask(s, "POST", "/v1/queues/q/reserve?take=true", "", "")
			if status != http.StatusOK || !strings.Contains(got, `"body":"`+want+`"`) {
				t.Errorf("reserve = %d %s, want %s", status, got, want)
			}
			synctest.Wait()
		}
		take("a")
		if status := <-first; status != 200 {
			t.Errorf("the first that waits = %d, want 200", status)
		}
		leave()
		<-second
		take("first")
		if status := <-third; status != 200 {
			t.Errorf("the third that waits = %d, want 200", status)
		}
		take("third")
		if n := door.Share(0, 0).Parked - s.frame.Parked.Free(); n != 0 {
			t.Errorf("%d bytes are parked, want 0", n)
		}
	})
}

// What waits for room is bounded, and is not among the bodies in flight.
func TestParkedPutsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := roomForOne(t, Options{Frame: door.Frame{Intake: door.NewIntake(1 << 20)}})
		const tasks = "/v1/queues/q/tasks"
		runSteps(t, s, []step{{"room", "POST", tasks, "text/plain", "a", 200, ""}})
		done := make(chan int, 1)
		go func() {
			status, _ := ask(s, "POST", tasks+"?wait=5s", "text/plain", strings.Repeat("b", 600<<10))
			done <- status
		}()
		synctest.Wait()
		runSteps(t, s, []step{{"others have room", "POST", "/v1/queues/other/tasks", "text/plain",
			strings.Repeat("c", 600<<10), 200, ""}})
		free := s.frame.Parked.Free()
		s.frame.Parked.TryTake(free)
		runSteps(t, s, []step{{"too many", "POST", tasks + "?wait=5s", "text/plain", "d", 429, "wait for room already"}})
		s.frame.Parked.Give(free)
		if status := <-done; status != 429 {
			t.Errorf("the parked put = %d, want 429", status)
		}
	})
}
