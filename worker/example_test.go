package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
	"github.com/glassq/glassq/store"
	"github.com/glassq/glassq/worker"
)

// open is a queue in memory with tasks in it; a *client.Client of a server serves as well.
func open(name string, bodies ...string) store.Store {
	queue := must(store.Open(context.Background(), store.Memory, store.Options{}))
	for _, b := range bodies {
		must(queue.Put(context.Background(), []glassq.Task{{Queue: name, Body: []byte(b), Type: glassq.TypeText}}))
	}
	return queue
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// until is closed when nothing in the queue is delayed, ready or leased.
func until(queue store.Store, name string) <-chan struct{} {
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		must(queue.AwaitIdle(context.Background(), name, -1))
	}()
	return idle
}

// Do makes a worker of one function: a value is a result, an error is a failed one.
func Example() {
	queue := open("words", "glass", "queue", "")
	defer queue.Close()
	opt := worker.Options{Queue: "words", Done: until(queue, "words")}
	stats, err := worker.Do(context.Background(), queue, opt, func(_ context.Context, l *glassq.Lease) (string, error) {
		if len(l.Body) == 0 {
			return "", errors.New("no word")
		}
		return strings.ToUpper(string(l.Body)), nil
	})
	fmt.Printf("ok %d, failed %d, %v\n", stats.OK, stats.Failed, err)
	// Output: ok 2, failed 1, <nil>
}

// Run leaves the record to the handler, of which each goroutine has its own.
func ExampleRun() {
	queue := open("words", "glass")
	defer queue.Close()
	opt := worker.Options{Queue: "words", Done: until(queue, "words")}
	must(worker.Run(context.Background(), queue, opt, func(int) worker.Handler {
		return worker.HandlerFunc(func(_ context.Context, l *glassq.Lease, r *worker.Reply) error {
			r.Body = result.Append(r.Body, l.Body, l.Type, &result.Record{OK: true, Attempt: l.Attempt})
			return nil
		})
	}))
	for _, l := range must(queue.Reserve(context.Background(), glassq.Reserve{Queue: glassq.DefaultResults})) {
		fmt.Println(string(l.Body))
	}
	// Output: {"i":"glass","o":{"ok":1,"rt":0,"a":1}}
}

// A NackError has a task tried again, here at once, or has it wait for a person as dead.
func ExampleNackError() {
	queue := open("mail", "ann@example.org")
	defer queue.Close()
	opt := worker.Options{Queue: "mail", Done: until(queue, "mail")}
	stats := must(worker.Do(context.Background(), queue, opt, func(_ context.Context, l *glassq.Lease) (any, error) {
		if l.Attempt < 3 {
			return nil, &worker.NackError{Delay: glassq.AtOnce, Err: errors.New("greylisted")}
		}
		return nil, nil
	}))
	fmt.Printf("nacked %d, ok %d\n", stats.Nacked, stats.OK)
	// Output: nacked 2, ok 1
}

// At its end a worker takes nothing more. What it has begun gets the time of Options.Drain; what is
// not done by then goes back, the attempt not counted.
func ExampleOptions_drain() {
	queue := open("mail", "ann@example.org")
	defer queue.Close()
	for _, opt := range []worker.Options{{Queue: "mail", Drain: -1}, {Queue: "mail"}} {
		ctx, cancel := context.WithCancel(context.Background())
		stats := must(worker.Do(ctx, queue, opt, func(ctx context.Context, l *glassq.Lease) (any, error) {
			cancel() // as a signal would
			if opt.Drain < 0 {
				<-ctx.Done() // at once, without a grace
			}
			return nil, ctx.Err()
		}))
		left := must(queue.Queues(context.Background(), "mail"))[0].Ready
		fmt.Printf("done %d, left %d\n", stats.Done, left)
	}
	// Output:
	// done 0, left 1
	// done 1, left 0
}

// A pipeline: what one worker puts as follow-ups, in the commit of its ack, is the work of the
// next.
func ExampleRun_pipeline() {
	ctx, queue := context.Background(), open("lines", "to be", "or not to be")
	defer queue.Close()
	must(worker.Run(ctx, queue, worker.Options{Queue: "lines", Done: until(queue, "lines")}, func(int) worker.Handler {
		return worker.HandlerFunc(func(_ context.Context, l *glassq.Lease, r *worker.Reply) error {
			for _, word := range strings.Fields(string(l.Body)) {
				r.Put = append(r.Put, glassq.Task{Queue: "words", Body: []byte(word), Type: glassq.TypeText})
			}
			return nil
		})
	}))
	stats := must(worker.Do(ctx, queue, worker.Options{Queue: "words", Done: until(queue, "words")},
		func(_ context.Context, l *glassq.Lease) (int, error) { return len(l.Body), nil }))
	fmt.Println("words:", stats.OK)
	// Output: words: 6
}
