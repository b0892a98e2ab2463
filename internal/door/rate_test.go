package door

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/rights"
)

// TestRates: puts are counted against the rates of the client's token, acks are owed and never
// refused, and what is refused for another reason costs nothing.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, text := held(t, rights.Token{May: []string{"put", "work"}, Queues: rights.Patterns{"*"}, Rates: rights.Rates{Puts: 10}})
		who, err := a.WithKey(text)
		if err != nil {
			t.Fatal(err)
		}
		e, err := disk.Open("mem:", disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		b := broker.New(e, glassq.Limits{})
		s, ctx := NewStore(b, who, Client{}), t.Context()
		most := int64(5)
		if _, err := b.Configure(ctx, "small", glassq.SettingsChange{MaxTasks: &most}); err != nil {
			t.Fatal(err)
		}
		put := func(queue string, n int) error {
			tasks := make([]glassq.Task, n)
			for i := range tasks {
				tasks[i] = glassq.Task{Queue: queue}
			}
			_, err := s.Put(ctx, tasks)
			return err
		}
		want := func(what string, err error, code glassq.Code, after time.Duration) {
			t.Helper()
			if code == "" && err == nil {
				return
			}
			if err == nil || glassq.CodeOf(err) != code || glassq.RetryAfter(err) != after {
				t.Errorf("%s = %v, after %v; want %s, after %v", what, err, glassq.RetryAfter(err), code, after)
			}
		}
		want("a put into a full queue", put("small", 10), glassq.CodeQueueFull, 0)
		want("ten puts", put("q", 10), "", 0)
		want("one more", put("q", 1), glassq.CodeQuota, 100*time.Millisecond)

		leases, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 2})
		if err != nil || len(leases) != 2 {
			t.Fatal(leases, err)
		}
		say := glassq.Extend{Token: leases[0].Token(), Seq: 1, Put: []glassq.Task{{Queue: "q"}}}
		errs, err := s.Extend(ctx, []glassq.Extend{say, {Token: leases[1].Token(), Seq: 1}})
		if err != nil || errs[1] != nil {
			t.Fatal(errs, err)
		}
		want("a partial result", errs[0], glassq.CodeQuota, 100*time.Millisecond)
		errs, err = s.Ack(ctx, []glassq.Ack{{Token: leases[0].Token(), Result: &glassq.Task{Body: []byte("{}")},
			Put: []glassq.Task{{Queue: "q"}, {Queue: "q"}}}})
		if err != nil || errs[0] != nil {
			t.Errorf("an ack with follow-ups of a token that is over its rate: %v, %v", errs, err)
		}
		follow := glassq.Ack{Token: leases[1].Token(), Put: []glassq.Task{{Queue: "q"}}}
		if err := s.AckWait(ctx, follow, time.Second); err != nil {
			t.Errorf("AckWait = %v", err)
		}
		want("a put behind three follow-ups", put("q", 1), glassq.CodeQuota, 400*time.Millisecond)

		began := time.Now()
		_, err = s.PutWait(ctx, []glassq.Task{{Queue: "q"}}, 300*time.Millisecond)
		want("a wait that is too short", err, glassq.CodeQuota, 400*time.Millisecond)
		for _, wait := range []time.Duration{time.Second, -1} {
			if _, err = s.PutWait(ctx, []glassq.Task{{Queue: "q"}}, wait); err != nil {
				t.Errorf("PutWait of %v = %v", wait, err)
			}
		}
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("two puts waited for %v, want 500ms", took)
		}
		time.Sleep(time.Second)
		for range 5 {
			if err := put("small", 1); err != nil {
				t.Fatal(err)
			}
		}
		_, err = s.PutWait(ctx, []glassq.Task{{Queue: "small"}}, time.Second)
		want("a wait for room", err, glassq.CodeQueueFull, 0)
		if puts, bytes := a.Refused(); puts == 0 || bytes != 0 {
			t.Errorf("Refused = %d, %d", puts, bytes)
		}
		if i := who.Identity(true); i.Puts != 10 || i.Bytes != 0 {
			t.Errorf("Identity = %+v", i)
		}
	})
}
