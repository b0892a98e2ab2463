package store_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/store"
	"github.com/glassq/glassq/worker"
)

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// A program with a queue of its own: what it put is there when it starts again, and a worker in it
// does the tasks.
func Example() {
	ctx, dir := context.Background(), must(os.MkdirTemp("", "glassq-"))
	defer os.RemoveAll(dir)

	queue := must(store.Open(ctx, dir, store.Options{}))
	must(queue.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte("ann@example.org"), Type: glassq.TypeText}}))
	queue.Close()

	queue = must(store.Open(ctx, dir, store.Options{}))
	defer queue.Close()
	ctx, stop := context.WithCancel(ctx)
	stats := must(worker.Do(ctx, queue, worker.Options{Queue: "mail"},
		func(_ context.Context, l *glassq.Lease) (any, error) {
			fmt.Printf("send to %s\n", l.Body)
			stop()
			return nil, nil
		}))
	fmt.Println("sent:", stats.OK)
	// Output:
	// send to ann@example.org
	// sent: 1
}

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

// A backup is a copy made while the store is used: a folder that Open takes.
func ExampleStore_backup() {
	ctx, dir := context.Background(), must(os.MkdirTemp("", "glassq-"))
	defer os.RemoveAll(dir)
	backup := filepath.Join(dir, "backup")
	if err := os.Mkdir(backup, 0o700); err != nil {
		log.Fatal(err)
	}

	queue := must(store.Open(ctx, filepath.Join(dir, "data"), store.Options{}))
	defer queue.Close()
	must(queue.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte("before")}}))
	err := queue.Copy(ctx, func(name string, size int64, r io.Reader) error {
		f, err := os.OpenFile(filepath.Join(backup, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.CopyN(f, r, size); err != nil {
			return err
		}
		return f.Sync()
	})
	if err != nil {
		log.Fatal(err)
	}
	must(queue.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte("after")}}))

	copied := must(store.Open(ctx, backup, store.Options{}))
	defer copied.Close()
	for _, l := range must(copied.Reserve(ctx, glassq.Reserve{Queue: "mail", Max: 10})) {
		fmt.Println(string(l.Body))
	}
	// Output: before
}
