// Command embed has a durable queue inside: no server. Run it twice: it goes on where it was killed.
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
	ctx, cancel := context.WithCancel(context.Background())
	queue, err := store.Open(ctx, "embed-data", store.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer queue.Close()
	if _, err := queue.Put(ctx, []glassq.Task{{Queue: "tasks", ID: "1", Body: []byte("hello"), Type: glassq.TypeText}}); err != nil {
		log.Fatal(err)
	}
	worker.Do(ctx, queue, worker.Options{}, func(_ context.Context, l *glassq.Lease) (any, error) {
		defer cancel() // one task is enough here
		fmt.Printf("%s: %s\n", l.ID, l.Body)
		return nil, nil
	})
}
