package rights

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// TestMeter: what passes at which second, at 10 tasks and 1,000 bytes a second.
func TestMeter(t *testing.T) {
	type step struct {
		at           time.Duration
		tasks, bytes int64
		owed         bool // by an ack, which is never refused
		back         bool // it was refused for another reason
		wait         time.Duration
	}
	const s, ms = time.Second, time.Millisecond
	for _, tt := range []struct {
		name  string
		rates Rates
		steps []step
	}{
		{"none", Rates{}, []step{{tasks: 1e6, bytes: 1e9}, {tasks: 1e6, bytes: 1e9}}},
		{"a second's worth at once", Rates{Puts: 10}, []step{{tasks: 10}, {tasks: 1, wait: 100 * ms}, {at: 100 * ms, tasks: 1},
			{at: 100 * ms, tasks: 1, wait: 100 * ms}}},
		{"nothing is saved up beyond a second", Rates{Puts: 10}, []step{{at: 3600 * s, tasks: 10},
			{at: 3600 * s, tasks: 1, wait: 100 * ms}}},
		{"a large batch passes and is paid for", Rates{Puts: 10}, []step{{tasks: 100}, {tasks: 1, wait: 9*s + 100*ms},
			{at: 9 * s, tasks: 1, wait: 100 * ms}, {at: 9*s + 100*ms, tasks: 1}}},
		{"a large batch beside small ones", Rates{Puts: 10}, []step{{tasks: 9}, {tasks: 50}, {at: 5 * s, tasks: 50}}},
		{"bytes", Rates{Bytes: 1000}, []step{{tasks: 100, bytes: 3000}, {bytes: 1, wait: 2*s + ms}, {at: 2*s + ms, bytes: 1}}},
		{"what bytes refuse costs no tasks", Rates{Puts: 10, Bytes: 1000}, []step{{tasks: 1, bytes: 2000},
			{tasks: 9, bytes: 1, wait: s + ms}, {tasks: 9, bytes: 1, wait: s + ms}, {at: s + ms, tasks: 10, bytes: 1}}},
		{"acks owe", Rates{Puts: 10}, []step{{tasks: 30, owed: true}, {tasks: 30, owed: true}, {tasks: 1, wait: 5*s + 100*ms}}},
		{"a put that was refused costs nothing", Rates{Puts: 10}, []step{{tasks: 10}, {tasks: 10, back: true}, {tasks: 10},
			{tasks: 1, wait: 100 * ms}}},
		{"what is owed is bounded", Rates{Bytes: 1}, []step{{bytes: 1 << 40, owed: true}, {bytes: 1 << 62, owed: true},
			{bytes: 1, wait: mostOwed + s}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var refused Refused
				m := newMeter(&refused)
				m.set(tt.rates)
				began, times := time.Now(), uint64(0)
				for i, s := range tt.steps {
					time.Sleep(s.at - time.Since(began))
					l := &Live{Token: Token{Name: "ci"}, meter: m}
					switch {
					case s.owed:
						l.Owe(s.tasks, s.bytes)
						continue
					case s.back:
						l.Owe(-s.tasks, -s.bytes)
						continue
					}
					err := l.Take(s.tasks, s.bytes)
					if s.wait > 0 {
						times++
					}
					if glassq.RetryAfter(err) != s.wait || (err != nil) != (s.wait > 0) ||
						err != nil && glassq.CodeOf(err) != glassq.CodeQuota {
						t.Errorf("step %d at %v: Take(%d, %d) = %v, after %v; want %v", i, s.at, s.tasks, s.bytes, err,
							glassq.RetryAfter(err), s.wait)
					}
				}
				if n := refused.Puts.Load() + refused.Bytes.Load(); n != times {
					t.Errorf("%d refusals are counted, want %d", n, times)
				}
			})
		})
	}
}

// TestMeterIsShared: an old and a new token have one meter, and other rates end no token.
func TestMeterIsShared(t *testing.T) {
	k := named("ci", "put")
	k.Rates = Rates{Puts: 1}
	path, texts := file(t, k)
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	old, err := r.Find([]byte(texts[0]))
	if err != nil || old.Take(1000, 0) != nil {
		t.Fatal(err, "the first put is refused")
	}
	var told []string
	r.Changed = func(action, name, _ string) { told = append(told, action+" "+name) }
	look := func(f func(*Edit) error) {
		t.Helper()
		change(t, path, f)
		if !r.Look(slog.New(slog.DiscardHandler)) {
			t.Fatal("the file is not read anew")
		}
	}
	text := ""
	look(func(e *Edit) (err error) {
		_, text, err = e.Rotate("ci", time.Now(), time.Hour, time.Time{})
		return err
	})
	young, err := r.Find([]byte(text))
	if err != nil || young.Take(1, 0) == nil || young.Rates() != k.Rates {
		t.Errorf("a new token of the name begins anew: %v, rates %v", err, young.Rates())
	}
	told = nil
	look(func(e *Edit) error { e.SetRates("ci", func(r *Rates) { *r = Rates{Bytes: 5} }); return nil })
	if young.Over() || young.Rates() != (Rates{Bytes: 5}) || young.Take(1, 0) != nil {
		t.Errorf("after other rates: over %v, rates %+v", young.Over(), young.Rates())
	}
	if len(told) == 0 || told[0] != ActionChange+" ci" {
		t.Errorf("other rates are told as %q", told)
	}
}

// TestTakeIsCheap: a put that passes allocates nothing.
func TestTakeIsCheap(t *testing.T) {
	m := newMeter(&Refused{})
	m.set(Rates{Puts: 1 << 50, Bytes: 1 << 50})
	l := &Live{meter: m}
	if n := testing.AllocsPerRun(1000, func() {
		if err := l.Take(1, 100); err != nil {
			t.Fatal(err)
		}
		l.Owe(1, 100)
	}); n != 0 {
		t.Errorf("Take and Owe allocate %v times", n)
	}
}
