package store_test

import (
	"context"
	"fmt"
	"log"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/store"
)

func ExampleOpen() {
	ctx := context.Background()
	queue, err := store.Open(ctx, store.Memory, store.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer queue.Close()
	if _, err := queue.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte("hello")}}); err != nil {
		log.Fatal(err)
	}
	leases, err := queue.Reserve(ctx, glassq.Reserve{Queue: "mail", Wait: -1})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, attempt %d\n", leases[0].Body, leases[0].Attempt)
	if _, err := queue.Ack(ctx, []glassq.Ack{{Token: leases[0].Token()}}); err != nil {
		log.Fatal(err)
	}
	// Output: hello, attempt 1
}
