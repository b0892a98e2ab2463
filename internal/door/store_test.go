package door

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/rights"
)

// TestStoreIsWhole: every verb of a broker is one of Store, with the same arguments.
func TestStoreIsWhole(t *testing.T) {
	of, ours := reflect.TypeFor[*broker.Broker](), reflect.TypeFor[Store]()
	for i := range of.NumMethod() {
		m := of.Method(i)
		if m.Type.NumIn() < 2 || m.Type.In(1).String() != "context.Context" || m.Name == "UseSchemas" {
			continue // it does nothing for a client
		}
		n, ok := ours.MethodByName(m.Name)
		if !ok {
			t.Errorf("Store has no %s, which asks who may do it", m.Name)
			continue
		}
		for k := 1; k < m.Type.NumIn(); k++ {
			if n.Type.In(k) != m.Type.In(k) {
				t.Errorf("Store.%s takes %v, the broker %v", m.Name, n.Type, m.Type)
			}
		}
	}
}

// held is the access of a file with one token, and what its holder sends.
func held(t testing.TB, k rights.Token) (*Access, []byte) {
	t.Helper()
	path, text := filepath.Join(t.TempDir(), "tokens"), ""
	k.Name, k.Created = "ci", time.Now()
	if err := rights.Change(path, func(e *rights.Edit) (err error) { text, err = e.New(k); return err }); err != nil {
		t.Fatal(err)
	}
	r, err := rights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return NewAccess([]byte("shared")).WithTokens(r), []byte(text)
}

// TestStoreNames: names within a request are looked at as that of its address is.
func TestStoreNames(t *testing.T) {
	a, text := held(t, rights.Token{May: []string{"put", "work"}, Queues: rights.Patterns{"mine.*"}})
	who, err := a.WithKey(text)
	if err != nil {
		t.Fatal(err)
	}
	mine := glassq.Task{Queue: "mine.q"}
	with := func(change func(*glassq.Task)) []glassq.Task {
		other := mine
		change(&other)
		return []glassq.Task{mine, other}
	}
	lease := glassq.Token{Queue: "mine.q", Number: 1}
	for _, tt := range []struct {
		name string
		err  error
		may  bool
	}{
		{"a put of one's own", who.MayPut(with(func(*glassq.Task) {})), true},
		{"a put into another queue", who.MayPut(with(func(x *glassq.Task) { x.Queue = "other.q" })), false},
		{"a put into a run", who.MayPut(with(func(x *glassq.Task) { x.Run = "mine.r" })), true},
		{"a put into another's run", who.MayPut(with(func(x *glassq.Task) { x.Run = "r" })), false},
		{"results of a run", who.MayPut(with(func(x *glassq.Task) { x.ResultQueue = "results.mine.r" })), true},
		{"results in another queue", who.MayPut(with(func(x *glassq.Task) { x.ResultQueue = "results" })), false},
		{"an ack", who.MayAck(&glassq.Ack{Token: lease}), true},
		{"an ack of another's", who.MayAck(&glassq.Ack{Token: glassq.Token{Queue: "other.q", Number: 1}}), false},
		{"an ack with a result elsewhere", who.MayAck(&glassq.Ack{Token: lease, Result: &glassq.Task{Queue: "results"}}), false},
		{"an ack with a result where it belongs", who.MayAck(&glassq.Ack{Token: lease, Result: &glassq.Task{}}), true},
		{"a follow-up", who.MayAck(&glassq.Ack{Token: lease, Put: with(func(*glassq.Task) {})}), true},
		{"a follow-up elsewhere", who.MayAck(&glassq.Ack{Token: lease, Put: []glassq.Task{{Queue: "other.q"}}}), false},
	} {
		if (tt.err == nil) != tt.may || tt.err != nil && glassq.CodeOf(tt.err) != glassq.CodeForbidden {
			t.Errorf("%s: %v; it may: %v", tt.name, tt.err, tt.may)
		}
	}
	bare := glassq.Ack{Token: glassq.Token{Number: 1}}
	if err := who.MayAck(&bare); err != nil || bare.Within == nil || !bare.Within("mine.q") || bare.Within("other.q") {
		t.Errorf("an ack by the number alone: %v; the engine is to ask for the queue", err)
	}
}

// TestCheckIsCheap: to know a client and to ask what it may do allocates nothing.
func TestCheckIsCheap(t *testing.T) {
	a, text := held(t, rights.Token{May: []string{"put"}, Queues: rights.Patterns{"mine.*"}, Rates: rights.Rates{Puts: 1 << 50}})
	tasks := []glassq.Task{{Queue: "mine.q", Run: "mine.r"}}
	if n := testing.AllocsPerRun(1000, func() {
		who, err := a.WithKey(text)
		if err == nil {
			err = who.MayPut(tasks)
		}
		if err == nil {
			err = who.May(rights.VerbPut, "mine.q")
		}
		if err == nil {
			err = who.Spend(tasks)
		}
		if err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	a, text := held(b, rights.Token{May: []string{"put"}, Queues: rights.Patterns{"mine.*"}})
	b.ReportAllocs()
	for b.Loop() {
		who, err := a.WithKey(text)
		if err == nil {
			err = who.May(rights.VerbPut, "mine.q")
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// TestSetRun: what a change of a run names is looked at, and those who only read say so and no
// more.
func TestSetRun(t *testing.T) {
	for _, tt := range []struct {
		name, may, run string
		change         glassq.RunChange
		want           glassq.Code
	}{
		{"make", "put", "mine.r", glassq.RunChange{}, ""},
		{"make without put", "work", "mine.r", glassq.RunChange{}, glassq.CodeForbidden},
		{"another's", "put", "r", glassq.RunChange{}, glassq.CodeForbidden},
		{"in another's queue", "put", "mine.r", glassq.RunChange{Queue: "q"}, glassq.CodeForbidden},
		{"with results in another's queue", "put", "mine.r", glassq.RunChange{Results: "results"}, glassq.CodeForbidden},
		{"as a retry of another's", "put", "mine.r", glassq.RunChange{RetryOf: "r"}, glassq.CodeForbidden},
		{"after another's", "put", "mine.r", glassq.RunChange{After: "r"}, glassq.CodeForbidden},
		{"with a hook", "put", "mine.r", glassq.RunChange{OnEnd: `{"queue":"mine.q","run":"mine.s"}`}, ""},
		{"with a hook into another's queue", "put", "mine.r", glassq.RunChange{OnFailed: `{"queue":"q"}`}, glassq.CodeForbidden},
		{"with a hook into another's run", "put", "mine.r", glassq.RunChange{OnEnd: `{"queue":"mine.q","run":"s"}`}, glassq.CodeForbidden},
		{"with a hook whose result goes elsewhere", "put", "mine.r", glassq.RunChange{OnEnd: `{"queue":"mine.q","result":"s"}`},
			glassq.CodeForbidden},
		{"with the hooks of a retry", "put", "mine.r", glassq.RunChange{RetryOf: "mine.there", Hooks: true}, glassq.CodeForbidden},
		{"with a hook into itself", "put", "mine.r", glassq.RunChange{OnEnd: `{"queue":"mine.q","run":"mine.r"}`}, glassq.CodeBadRequest},
		{"with hooks of nothing", "put", "mine.r", glassq.RunChange{Hooks: true}, glassq.CodeBadRequest},
		{"after any end of nothing", "put", "mine.r", glassq.RunChange{AfterAny: true}, glassq.CodeBadRequest},
		{"with a hook that is too long", "put", "mine.r", glassq.RunChange{OnEnd: glassq.Hook(`{"queue":"mine.q","x":"` +
			strings.Repeat("x", glassq.MaxHook) + `"}`)}, glassq.CodeTooLarge},
		{"a reader of one that is there", "read", "mine.there", glassq.RunChange{Reader: "me"}, ""},
		{"a reader of one that is not", "read", "mine.r", glassq.RunChange{Reader: "me"}, glassq.CodeNotFound},
		{"a reader of another's", "read", "there", glassq.RunChange{Reader: "me"}, glassq.CodeForbidden},
		{"a reader who seals", "read", "mine.there", glassq.RunChange{Reader: "me", Sealed: true}, glassq.CodeForbidden},
	} {
		a, text := held(t, rights.Token{May: []string{tt.may}, Queues: rights.Patterns{"mine.*"}})
		who, err := a.WithKey(text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewStore(broker.New(&runs{}, glassq.Limits{}), who, Client{}).SetRun(t.Context(), tt.run, tt.change)
		if err != nil && glassq.CodeOf(err) != tt.want || err == nil && tt.want != "" {
			t.Errorf("%s: %v; want %s", tt.name, err, tt.want)
		}
	}
}

// runs is a store of which one run is there.
type runs struct{ glassq.Store }

func (*runs) Run(_ context.Context, name string) (glassq.Run, error) {
	if name != "mine.there" {
		return glassq.Run{}, glassq.ErrNotFound
	}
	return glassq.Run{Name: name, OnEnd: `{"queue":"q"}`}, nil
}

func (*runs) SetRun(context.Context, string, glassq.RunChange) (glassq.Run, error) {
	return glassq.Run{}, nil
}

// TestSchedules: a schedule is of the queue that it puts into.
func TestSchedules(t *testing.T) {
	task := glassq.Envelope(`{"queue":"mine.q","body":1}`)
	for _, tt := range []struct {
		name, may, schedule string
		change              glassq.ScheduleChange
		want                glassq.Code
	}{
		{"make", "put", "new", glassq.ScheduleChange{Cron: "@daily", Task: task}, ""},
		{"make without put", "work", "new", glassq.ScheduleChange{Cron: "@daily", Task: task}, glassq.CodeForbidden},
		{"make in another's queue", "put", "new", glassq.ScheduleChange{Cron: "@daily", Task: `{"queue":"q","body":1}`}, glassq.CodeForbidden},
		{"make in another's run", "put", "new", glassq.ScheduleChange{Cron: "@daily", Task: `{"queue":"mine.q","run":"r","body":1}`},
			glassq.CodeForbidden},
		{"change", "put", "mine", glassq.ScheduleChange{Missed: "all"}, ""},
		{"change another's", "put", "theirs", glassq.ScheduleChange{Missed: "all"}, glassq.CodeForbidden},
		{"take another's", "put", "theirs", glassq.ScheduleChange{Task: task}, glassq.CodeForbidden},
		{"give it away", "put", "mine", glassq.ScheduleChange{Task: `{"queue":"q","body":1}`}, glassq.CodeForbidden},
		{"forget", "put", "mine", glassq.ScheduleChange{}, ""},
		{"forget another's", "put", "theirs", glassq.ScheduleChange{}, glassq.CodeForbidden},
	} {
		a, text := held(t, rights.Token{May: []string{tt.may, "read"}, Queues: rights.Patterns{"mine.*"}})
		who, err := a.WithKey(text)
		if err != nil {
			t.Fatal(err)
		}
		s := NewStore(broker.New(&schedules{}, glassq.Limits{}), who, Client{})
		if tt.change == (glassq.ScheduleChange{}) {
			err = s.DropSchedule(t.Context(), tt.schedule)
		} else {
			_, err = s.SetSchedule(t.Context(), tt.schedule, tt.change)
		}
		if err != nil && glassq.CodeOf(err) != tt.want || err == nil && tt.want != "" {
			t.Errorf("%s: %v; want %s", tt.name, err, tt.want)
		}
		if list, err := s.Schedules(t.Context()); err != nil || len(list) != 1 || list[0].Name != "mine" {
			t.Errorf("Schedules = %+v, %v; want the client's own", list, err)
		}
	}
}

// schedules is a store with two of them.
type schedules struct{ glassq.Store }

func (*schedules) Schedules(context.Context) ([]glassq.Schedule, error) {
	return []glassq.Schedule{{Name: "mine", Task: `{"queue":"mine.q","body":1}`}, {Name: "theirs", Task: `{"queue":"q","body":1}`}}, nil
}

func (*schedules) SetSchedule(context.Context, string, glassq.ScheduleChange) (glassq.Schedule, error) {
	return glassq.Schedule{}, nil
}

func (*schedules) DropSchedule(context.Context, string) error { return nil }

// TestFind: a task is found through what is the client's own alone, whatever else names it.
func TestFind(t *testing.T) {
	a, text := held(t, rights.Token{May: []string{"read"}, Queues: rights.Patterns{"mine.*"}})
	who, err := a.WithKey(text)
	if err != nil {
		t.Fatal(err)
	}
	s := NewStore(broker.New(&finder{}, glassq.Limits{}), who, Client{})
	for _, tt := range []struct {
		name  string
		find  glassq.Find
		where string
		code  glassq.Code
	}{
		{"a number", glassq.Find{Queue: "mine.q", ID: "~1"}, glassq.FoundHeld, ""},
		{"in another's queue", glassq.Find{Queue: "q", ID: "~1"}, "", glassq.CodeForbidden},
		{"a lease", glassq.Find{Queue: "mine.q", Lease: 1}, glassq.FoundHeld, ""},
		{"a lease of another's queue", glassq.Find{Queue: "mine.q", Lease: 2}, glassq.FoundGone, ""},
		{"a position", glassq.Find{Run: "mine.r", Dense: true}, glassq.FoundHeld, ""},
		{"a position of another's run", glassq.Find{Run: "r", Dense: true}, "", glassq.CodeForbidden},
		{"the same through a queue", glassq.Find{Queue: "mine.q", ID: "r/1"}, "", glassq.CodeForbidden},
	} {
		found, err := s.Find(t.Context(), tt.find)
		if found.Where != tt.where || (err != nil) != (tt.code != "") || err != nil && glassq.CodeOf(err) != tt.code {
			t.Errorf("%s: %s, %v; want %s, %s", tt.name, found.Where, err, tt.where, tt.code)
		}
	}
}

// finder is a store whose lease 1 is of mine.q, and lease 2 of another queue.
type finder struct {
	glassq.Store
	glassq.Finder
}

func (*finder) Find(_ context.Context, f glassq.Find) (found glassq.Found, err error) {
	found.Where, found.Queue = glassq.FoundHeld, "mine.q"
	if f.Lease == 2 {
		found.Queue = "q"
	}
	return found, nil
}
