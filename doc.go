// Package glassq is the vocabulary of a task queue that everyone can see through: tasks, leases,
// acks, runs and their books, the verbs on them, and the errors and limits that every surface
// shares.
//
// # Who should use it
//
// Every Go program that puts tasks, takes them, or looks at queues. The words are here, and the
// work is done by what has the verbs:
//
//   - package client speaks to a queue server (glassq serve) over HTTP;
//   - package store is the queue inside a program, without a server;
//   - package worker takes tasks from either and has them done by a function;
//   - package result is the record that a worker sends back.
//
// A program puts tasks, reserves leases and acks them:
//
//	queue, err := store.Open(ctx, "/var/lib/mail", store.Options{}) // or client.New("http://127.0.0.1:5080", client.Options{})
//	…
//	_, err = queue.Put(ctx, []glassq.Task{{Queue: "mail", ID: "welcome/17", Body: []byte("ann@example.org")}})
//	…
//	leases, err := queue.Reserve(ctx, glassq.Reserve{Queue: "mail", Max: 100, Wait: -1})
//	…
//	errs, err := queue.Ack(ctx, []glassq.Ack{{Token: leases[0].Token()}})
//
// The examples beside the types run: put ([Task]), reserve and ack ([Lease]), results and
// follow-ups ([Ack]), retries ([Nack]), dead tasks ([Operator]), a run and its books ([Run]),
// schemas ([Schema]) and rates ([Settings]).
//
// # What to know
//
// A put or an ack that is answered without an error is on stable storage. A task is delivered until
// it is acked, so work may run twice: after a lease ran out, a nack, or a crash. A put with an ID
// may be repeated and stores one task. Zero fields mean defaults. Every error carries a [Code],
// found by [CodeOf] or by errors.Is with one of the Err variables; what a whole call says and what
// one ack of it says are two results.
//
// # Plumbing
//
// Most programs need Task, Reserve, Lease, Ack and Nack. [Settings] and [QueueInfo] are for those
// who operate queues, [Run] and [Books] for those who dispatch and must prove that nothing is
// missing. The interfaces [Engine], [Operator], [Runs], [Waits], [Copier] and [Archiver] say what a
// store can do; they are for those who write a store. The package imports the standard library
// only, does no I/O, and starts no goroutine.
package glassq
