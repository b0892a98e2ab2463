package broker

import (
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
