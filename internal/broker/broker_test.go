package broker

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

// TestPutWithoutQueue: an engine may panic on a task without a queue, so the broker lets none
// through, at the front of a batch least of all.
func TestPutWithoutQueue(t *testing.T) {
	b := New(nil, glassq.Limits{})
	for _, tasks := range [][]glassq.Task{{{}}, {{Queue: "q"}, {}}, {{}, {Queue: "q"}}} {
		if _, err := b.Put(t.Context(), tasks); glassq.CodeOf(err) != glassq.CodeBadName {
			t.Errorf("Put of %+v = %v; want bad_name", tasks, err)
		}
	}
	errs, err := b.Ack(t.Context(), []glassq.Ack{{Token: glassq.Token{Queue: "q", Number: 1},
		Put: []glassq.Task{{Body: []byte("x")}}}})
	if err != nil || glassq.CodeOf(errs[0]) != glassq.CodeBadName {
		t.Errorf("Ack with a follow-up without a queue = %v, %v; want bad_name", errs, err)
	}
}

// A counting store counts the bytes that each call brings.
type counting struct {
	glassq.Store
	calls []int
	fails int // the call that does, with answers; 0 for none
}

func (c *counting) Ack(_ context.Context, acks []glassq.Ack) ([]error, error) {
	n := 0
	for i := range acks {
		n += len(acks[i].Result.Body)
		for k := range acks[i].Put {
			n += len(acks[i].Put[k].Headers["h"])
		}
	}
	c.calls = append(c.calls, n)
	errs := make([]error, len(acks))
	errs[0] = errors.New("the first of its call")
	if len(c.calls) == c.fails {
		return errs, glassq.ErrUnknown
	}
	return errs, nil
}

func (c *counting) Extend(_ context.Context, extends []glassq.Extend) ([]error, error) {
	n := 0
	for i := range extends {
		n += len(extends[i].Progress.Checkpoint)
	}
	c.calls = append(c.calls, n)
	return make([]error, len(extends)), nil
}

// TestLargeCalls: what a call brings becomes one frame of a log, whose size has a bound. So a call that
// brings more is several, and a put, which is all or nothing, is refused.
func TestLargeCalls(t *testing.T) {
	body := make([]byte, glassq.DefaultMaxBody)
	header := map[string]string{"h": strings.Repeat("h", glassq.MaxMeta-1)}
	store := &counting{}
	b, token := New(store, glassq.Limits{}), glassq.Token{Queue: "q", Number: 1}
	within := func(what string, calls, first int, errs []error) {
		t.Helper()
		refused := 0
		for _, err := range errs {
			if err != nil {
				refused++
			}
		}
		if len(store.calls) != calls || refused != first {
			t.Errorf("%s: %d calls, %d answers of the first of a call; want %d, %d", what, len(store.calls), refused, calls, first)
		}
		for _, n := range store.calls {
			if n > glassq.MaxPutBytes {
				t.Errorf("%s: a call of %d bytes", what, n)
			}
		}
		store.calls = nil
	}
	acks := make([]glassq.Ack, 9)
	for i := range acks {
		acks[i] = glassq.Ack{Token: token, Result: &glassq.Task{Body: body}}
	}
	errs, err := b.Ack(t.Context(), acks)
	if err != nil || len(errs) != 9 {
		t.Fatalf("acks = %v, %v", errs, err)
	}
	within("large results", 5, 5, errs)
	store.fails = 2
	if errs, err := b.Ack(t.Context(), acks); len(errs) > 0 || !errors.Is(err, glassq.ErrUnknown) {
		t.Errorf("acks of which a part fails = %v, %v; want no answers, which would be those of others", errs, err)
	}
	store.calls, store.fails = nil, 0
	for i := range acks {
		follow := make([]glassq.Task, 200)
		for k := range follow {
			follow[k] = glassq.Task{Queue: "q", Headers: header}
		}
		acks[i] = glassq.Ack{Token: token, Result: &glassq.Task{}, Put: follow}
	}
	if errs, err = b.Ack(t.Context(), acks); err != nil {
		t.Fatal(err)
	}
	within("follow-ups with headers", 5, 5, errs)
	extends := make([]glassq.Extend, 1000)
	for i := range extends {
		extends[i] = glassq.Extend{Token: token, Seq: 1, Progress: &glassq.Progress{Checkpoint: body[:glassq.MaxCheckpoint]}}
	}
	if errs, err = b.Extend(t.Context(), extends); err != nil || len(errs) != 1000 {
		t.Fatalf("extends = %d answers, %v", len(errs), err)
	}
	within("checkpoints", 2, 0, errs)
	tasks := make([]glassq.Task, 600)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: "q", Headers: header}
	}
	if _, err := b.Put(t.Context(), tasks); glassq.CodeOf(err) != glassq.CodeTooLarge {
		t.Errorf("a put with %d bytes of headers = %v; want too_large", 600*glassq.MaxMeta, err)
	}
}
