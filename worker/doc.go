// Package worker takes tasks from a queue and has them done: concurrency, prefetch, extension of
// leases, batched acks, retries, drain.
//
// # Who should use it
//
// Programs whose work is Go code. [Do] is for work that is a function from a lease to a value: it
// makes the result record. [Run] is for handlers with state of their own, such as a connection for
// each goroutine, for follow-ups, and for results of one's own form. The queue is a *client.Client
// or a store.Store.
//
//	stats, err := worker.Do(ctx, queue, worker.Options{Queue: "mail", Concurrency: 8},
//		func(ctx context.Context, l *glassq.Lease) (any, error) {
//			return nil, send(ctx, string(l.Body))
//		})
//
// It goes on until ctx is done, then takes nothing more, lets what is at work end within
// Options.Drain, and flushes every ack. A program passes a context of signal.NotifyContext.
//
// # What to know
//
// Every task that is handed to a handler is acked or nacked exactly once while its lease is held,
// and what is known to be lost is dropped, never acked. A handler that panics does not end the
// worker: the panic is logged with its stack, and the task goes back with it as the reason. A lease
// is extended for as long as the handler is at work, so a handler may take longer than a lease; its
// ctx ends when the lease is lost. Waiting for tasks is parked in the queue's Reserve; nothing
// polls. A task may be done twice, as everywhere in this module.
//
// # Plumbing
//
// Most programs never use [Gate], which bounds handlers by something that changes while they work,
// [Shedder], which gives back connections when the process lacks files, or Reply.Judged. The
// package knows leases and results as bytes; it does not know what the work is, where the queue
// lies, or how to reconnect: a [Queue] that can lose its server retries by itself
// (client.Options.Retry).
package worker
