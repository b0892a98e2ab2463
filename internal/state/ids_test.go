package state

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// TestIDWindowForgetsTheOldPut: an id that is put again after its window has passed is remembered
// from then on, also where nobody asked for it in between, as in a replay.
func TestIDWindowForgetsTheOldPut(t *testing.T) {
	var w idWindow
	id := hashID([]byte("id1"))
	later := 2 * glassq.DedupWindow.Milliseconds()
	w.add(id, 1, 0)
	w.add(id, 2, later)
	if !w.has(id, later) {
		t.Error("the id put just now is not remembered")
	}
	if w.has(id, 2*later) {
		t.Error("the id is remembered beyond its window")
	}
}

// TestIDsLikeAModel: thousands of random puts, acks, ends and changes of the setting leave the same
// ids taken as a list of all that ever happened says, and a snapshot in between changes nothing.
func TestIDsLikeAModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	type put struct {
		id    int
		at    int64
		there bool // its task is
		taken bool // its id is
	}
	window := glassq.DedupWindow.Milliseconds()
	s := New(Hooks{})
	s.tasks.hotMost = 2
	var puts []put // put i is of task i + 1
	pending := false
	age := func() {
		for i := range puts {
			if p := &puts[i]; s.now-p.at >= window && !(pending && p.there) {
				p.taken = false
			}
		}
	}
	apply := func(rec []byte) {
		if _, err := s.Apply(rec, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	settle := func(n uint64, acked bool) {
		e := s.tasks.get(n)
		if acked {
			s.done(n, e, glassq.OK, false)
		} else {
			s.expire(n, e)
		}
		p := &puts[n-1]
		p.there, p.taken = false, p.taken && acked
		age()
	}
	for range 6000 {
		switch rng.IntN(40) {
		case 0:
			pending = !pending
			set := glassq.Settings{}
			if pending {
				set.Unique = glassq.UniquePending
			}
			apply(AppendQueue(nil, "q", set))
			age()
		case 1:
			s.Advance(s.now + rng.Int64N(window/2))
			age()
		case 2:
			var b bytes.Buffer
			if err := s.Snapshot(&b); err != nil {
				t.Fatal(err)
			}
			again := New(Hooks{})
			again.tasks.hotMost = 2
			if err := again.Restore(bytes.NewReader(b.Bytes())); err != nil {
				t.Fatal(err)
			}
			var c bytes.Buffer
			if err := again.Snapshot(&c); err != nil || !bytes.Equal(b.Bytes(), c.Bytes()) {
				t.Fatalf("a restored state writes another snapshot: %d and %d bytes, %v", b.Len(), c.Len(), err)
			}
			if rng.IntN(2) == 0 {
				s = again
			}
		case 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14:
			if len(puts) > 0 {
				n := uint64(rng.IntN(len(puts))) + 1
				if n > 200 && rng.IntN(4) > 0 {
					n = uint64(len(puts)) - uint64(rng.IntN(200)) // mostly a young one
				}
				if puts[n-1].there {
					settle(n, rng.IntN(2) == 0)
				}
			}
		default:
			task := glassq.Task{Queue: "q", ID: fmt.Sprint(rng.IntN(3000))}
			var id int
			fmt.Sscan(task.ID, &id)
			want := slices.ContainsFunc(puts, func(p put) bool { return p.id == id && p.taken })
			if got := s.IsDuplicate(&task); got != want {
				t.Fatalf("put of id %d at %d (pending %v) is a duplicate: %v; want %v", id, s.now, pending, got, want)
			}
			if !want {
				apply(AppendPut(nil, &task))
				puts = append(puts, put{id: id, at: s.now, there: true, taken: true})
			}
		}
		live := 0
		for _, p := range puts {
			if p.there && p.taken {
				live++
			}
		}
		if q := s.Queue("q"); q != nil && pending && q.ids.live != live {
			t.Fatalf("%d ids of tasks that are there; want %d", q.ids.live, live)
		}
	}
}

// BenchmarkIDs prints what an id of its own adds to a task in memory, and what a put of one takes.
func BenchmarkIDs(b *testing.B) {
	const n = 200_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	fill := func(id bool, set glassq.Settings) (*State, uint64) {
		before := heap()
		s := New(Hooks{})
		s.applySettings("q", set)
		var rec []byte
		for i := range n {
			task := glassq.Task{Queue: "q", Body: []byte("x")}
			if id {
				task.ID = fmt.Sprint("order-", i)
			}
			rec = AppendPut(rec[:0], &task)
			if _, err := s.Apply(rec, 1, 0); err != nil {
				b.Fatal(err)
			}
		}
		return s, heap() - before
	}
	for _, mode := range []string{"", glassq.UniquePending} {
		b.Run("unique="+mode, func(b *testing.B) {
			for b.Loop() {
				plain, without := fill(false, glassq.Settings{})
				named, with := fill(true, glassq.Settings{Unique: mode})
				b.ReportMetric(float64(with-without)/n, "B/id")
				runtime.KeepAlive(plain)
				runtime.KeepAlive(named)
			}
		})
	}
}
