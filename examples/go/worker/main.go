// Command worker does tasks with package worker, which extends leases, batches acks, and drains.
package main

import (
	"cmp"
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	queue, err := client.New(cmp.Or(os.Getenv("GLASSQ_SERVER"), "http://127.0.0.1:5080"), client.Options{Retry: -1})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := worker.Run(ctx, queue, worker.Options{},
		func(int) worker.Handler { return worker.HandlerFunc(handle) }); err != nil {
		log.Fatal(err)
	}
}
