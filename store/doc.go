// Package store opens the embedded queue inside a program: the same engine, durability and rules as
// the server's, without a server.
//
// # Who should use it
//
// Programs that want a durable queue of their own, in a folder, and no second process; and tests,
// which open [Memory]. One process has the folder at a time. Where several programs share a queue,
// they use a server and package client, which has the same verbs.
//
//	queue, err := store.Open(ctx, "/var/lib/mail", store.Options{})
//	…
//	defer queue.Close()
//	wg.Go(func() { worker.Do(ctx, queue, worker.Options{Queue: "mail"}, send) })
//	_, err = queue.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte("ann@example.org")}})
//
// # What to know
//
// A put or an ack is answered when it is on the disk; calls made together share one sync, so many
// tasks belong in one call, or many goroutines call at once. The folder is one that glassq serve
// --data takes, and glassq repair, backup and queue work on it. After kill -9 or a power cut Open
// finds everything that was answered.
//
// # Plumbing
//
// Most programs call Put and leave the rest to package worker. The calls that wait for what others
// do (glassq.Waits), and Copy for a backup, are for those who build a service on the store.
package store
