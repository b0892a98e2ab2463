// Command embed has a durable queue inside: no server. Run it twice: it goes on where it was
// killed.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/store"
	"github.com/glassq/glassq/worker"
)

func main() {
	ctx := context.Background()
	queue, err := store.Open(ctx, "embed-data", store.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer queue.Close()
	task := glassq.Task{Queue: "tasks", ID: "1", Body: []byte("hello"), Type: glassq.TypeText}
	if _, err := queue.Put(ctx, []glassq.Task{task}); err != nil { // the id is known the second time: nothing is put
		log.Fatal(err)
	}
	idle := make(chan struct{})
	go func() { defer close(idle); queue.AwaitIdle(ctx, "tasks", -1) }()
	stats, err := worker.Do(ctx, queue, worker.Options{Done: idle},
		func(_ context.Context, l *glassq.Lease) (string, error) { return string(l.Body) + ", world", nil })
	fmt.Printf("%d done, %v\n", stats.Done, err)
}
