package door

import (
	"path/filepath"
	"reflect"
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
	a, text := held(t, rights.Token{May: []string{"put"}, Queues: rights.Patterns{"mine.*"}})
	tasks := []glassq.Task{{Queue: "mine.q", Run: "mine.r"}}
	if n := testing.AllocsPerRun(1000, func() {
		who, err := a.WithKey(text)
		if err == nil {
			err = who.MayPut(tasks)
		}
		if err == nil {
			err = who.May(rights.VerbPut, "mine.q")
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
