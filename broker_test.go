package glassq

import "testing"

// TestPutWithoutQueue: an engine may panic on a task without a queue, so the broker lets none through,
// at the front of a batch least of all.
func TestPutWithoutQueue(t *testing.T) {
	b := NewBroker(nil, Limits{})
	for _, tasks := range [][]Task{{{}}, {{Queue: "q"}, {}}, {{}, {Queue: "q"}}} {
		if _, err := b.Put(t.Context(), tasks); CodeOf(err) != CodeBadName {
			t.Errorf("Put of %+v = %v; want bad_name", tasks, err)
		}
	}
	errs, err := b.Ack(t.Context(), []Ack{{Token: Token{Queue: "q", Number: 1}, Put: []Task{{Body: []byte("x")}}}})
	if err != nil || CodeOf(errs[0]) != CodeBadName {
		t.Errorf("Ack with a follow-up without a queue = %v, %v; want bad_name", errs, err)
	}
}
