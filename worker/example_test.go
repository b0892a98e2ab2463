package worker_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
	"github.com/glassq/glassq/worker"
)

// shelf is a queue with one task on it.
type shelf struct{ leases chan []glassq.Lease }

func (s shelf) Reserve(ctx context.Context, _ glassq.Reserve) ([]glassq.Lease, error) {
	select {
	case l := <-s.leases:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s shelf) Ack(_ context.Context, acks []glassq.Ack) ([]error, error) {
	for _, a := range acks {
		fmt.Printf("%v: %s\n", a.Token, a.Result.Body)
	}
	return make([]error, len(acks)), nil
}

func (s shelf) Nack(_ context.Context, n []glassq.Nack) ([]error, error) {
	return make([]error, len(n)), nil
}

func (s shelf) Extend(_ context.Context, e []glassq.Extend) ([]error, error) {
	return make([]error, len(e)), nil
}

func Example() {
	queue := shelf{make(chan []glassq.Lease, 1)} // or a *client.Client
	queue.leases <- []glassq.Lease{{
		Task:   glassq.Task{Queue: "tasks", Body: []byte("hello"), Type: glassq.TypeText},
		Number: 7, Attempt: 1,
	}}
	ctx, cancel := context.WithCancel(context.Background())
	stats, err := worker.Run(ctx, queue, worker.Options{}, func(int) worker.Handler {
		return worker.HandlerFunc(func(_ context.Context, l *glassq.Lease, r *worker.Reply) error {
			fmt.Println("doing", strings.ToUpper(string(l.Body)))
			r.Body = result.Append(r.Body, l.Body, l.Type, &result.Record{OK: true, Attempt: l.Attempt})
			cancel()
			return nil
		})
	})
	fmt.Println(stats.OK, err)
	// Output:
	// doing HELLO
	// 7.tasks: {"i":"hello","o":{"ok":1,"rt":0,"a":1}}
	// 1 <nil>
}
