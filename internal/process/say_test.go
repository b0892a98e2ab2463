package process

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/worker"
)

// A oneQueue hands out one task, once, and notes what becomes of it.
type oneQueue struct {
	lease   chan glassq.Lease
	full    int // so many extends that say something find no room
	refuse  error
	said    []string
	results []string
	nacks   []string
	done    chan struct{}
}

func (q *oneQueue) Reserve(ctx context.Context, _ glassq.Reserve) ([]glassq.Lease, error) {
	select {
	case l := <-q.lease:
		return []glassq.Lease{l}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (q *oneQueue) Ack(_ context.Context, acks []glassq.Ack) ([]error, error) {
	q.results = append(q.results, string(acks[0].Result.Body))
	close(q.done)
	return make([]error, len(acks)), nil
}

func (q *oneQueue) Nack(_ context.Context, nacks []glassq.Nack) ([]error, error) {
	q.nacks = append(q.nacks, nacks[0].Reason)
	close(q.done)
	return make([]error, len(nacks)), nil
}

func (q *oneQueue) Extend(_ context.Context, extends []glassq.Extend) ([]error, error) {
	x := extends[0]
	switch {
	case x.Seq == 0:
	case q.full > 0:
		q.full--
		return []error{glassq.ErrQueueFull}, nil
	case q.refuse != nil:
		return []error{q.refuse}, nil
	default:
		line := string(envelope.AppendExtend(nil, &x))
		_, line, _ = strings.Cut(line, `"seq":`)
		q.said = append(q.said, line)
	}
	return make([]error, len(extends)), nil
}

// work has one task with a body done by a handler, and returns what its queue saw of it.
func (q *oneQueue) work(t *testing.T, body string, p *glassq.Progress, newHandler func(int) worker.Handler,
	gate func(func()) worker.Gate) {
	t.Helper()
	q.lease, q.done = make(chan glassq.Lease, 1), make(chan struct{})
	q.lease <- glassq.Lease{Task: glassq.Task{Queue: "q", ID: "i", Body: []byte(body), Type: glassq.TypeText}, Number: 7,
		Attempt: 1, Length: time.Minute, Progress: p}
	opt := worker.Options{Queue: "q", Concurrency: 1, Lease: time.Minute, Done: q.done, Gate: gate}
	if _, err := worker.Run(t.Context(), q, opt, newHandler); err != nil {
		t.Fatalf("worker.Run = %v", err)
	}
}

// TestPipeSays: what a child writes before its answer is said in its order, before the ack.
func TestPipeSays(t *testing.T) {
	tooLarge := error(glassq.Errorf(glassq.CodeTooLarge, "checkpoint of 65537 bytes"))
	for _, tt := range []struct {
		name, body string
		q          oneQueue
		said       []string
		nack       string // in the reason; "" for a result
	}{
		{"two lines", `lines {"progress":0.4,"note":"page 40"}|{"checkpoint":"at 40","put":[{"queue":"p","body":"x"}]}|{"o":{"ok":1}}`,
			oneQueue{}, []string{`1,"progress":0.4,"note":"page 40"}`,
				`2,"checkpoint":"at 40","put":[{"queue":"p","body":"x"}]}`}, ""},
		{"a result with such a member", `lines {"progress":1,"o":{"ok":1}}`, oneQueue{}, nil, ""},
		{"no room at first", `lines {"progress":0.4}|{"o":{"ok":1}}`, oneQueue{full: 1}, []string{`1,"progress":0.4}`}, ""},
		{"a bad line", `lines {"progress":4}|{"o":{"ok":1}}`, oneQueue{}, nil, "from 0 to 1"},
		{"refused", `lines {"progress":0.4}`, oneQueue{refuse: tooLarge}, nil, "refused: checkpoint of 65537 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := newPipe(t, PipeOptions{}, "pipe")
			q := tt.q
			q.work(t, tt.body, nil, p.Handler, p.Gate())
			if !slices.Equal(q.said, tt.said) || (len(q.results) == 1) != (tt.nack == "") {
				t.Errorf("said %q, results %q, nacks %q; want %q", q.said, q.results, q.nacks, tt.said)
			}
			if tt.nack != "" && (len(q.nacks) != 1 || !strings.Contains(q.nacks[0], tt.nack)) {
				t.Errorf("given back for %q; want %q in it", q.nacks, tt.nack)
			}
		})
	}
}

// TestExecSays: what a command appends to its file is said before the ack, as one, and the next try has
// its checkpoint in a file.
func TestExecSays(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		said  []string
		nack  string
	}{
		{"nothing", nil, nil, ""},
		{"two lines", []string{`{"progress":0.4,"note":"page 40","put":[{"queue":"p","body":"x"}]}`, ``, `{"checkpoint":"at 40"}`, ``},
			[]string{`1,"progress":0.4,"note":"page 40","checkpoint":"at 40","put":[{"queue":"p","body":"x"}]}`}, ""},
		{"a bad line", []string{`{"progress":0.4}`, `page 40`}, []string{`1,"progress":0.4}`}, "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newExec(t, ExecOptions{}, append([]string{"say"}, tt.lines...)...)
			q := oneQueue{}
			q.work(t, "body", &glassq.Progress{Done: -1, Checkpoint: []byte("at 20")}, e.Handler, nil)
			if !slices.Equal(q.said, tt.said) {
				t.Errorf("said %q; want %q", q.said, tt.said)
			}
			if tt.nack != "" {
				if len(q.nacks) != 1 || !strings.Contains(q.nacks[0], tt.nack) {
					t.Errorf("given back for %q; want %q in it", q.nacks, tt.nack)
				}
			} else if len(q.results) != 1 || !strings.Contains(q.results[0], `"stdout":"at 20"`) {
				t.Errorf("results %q; want the checkpoint printed", q.results)
			}
			if left, err := os.ReadDir(e.dir); err != nil || len(left) > 0 {
				t.Errorf("files %v, %v are left", left, err)
			}
		})
	}
}
