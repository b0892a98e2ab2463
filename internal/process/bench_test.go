package process

import (
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/worker"
)

// BenchmarkExec is one process after the other.
func BenchmarkExec(b *testing.B) {
	e, err := NewExec(ExecOptions{Command: []string{"/bin/true"}})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	h := e.Handler(0)
	l := glassq.Lease{Task: glassq.Task{Queue: "tasks", Body: []byte("hello"), Type: glassq.TypeText}, Number: 7,
		Attempt: 1}
	b.ReportAllocs()
	for b.Loop() {
		var r worker.Reply
		if err := h.Handle(b.Context(), &l, &r); err != nil {
			b.Fatal(err)
		}
	}
}
