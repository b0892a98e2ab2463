// Package client speaks to a queue server over HTTP, with the same verbs as a queue in the same
// process: a Client is a glassq.Store.
//
// # Who should use it
//
// Programs that put tasks on a server (glassq serve), take them from it, or look at its queues.
// Package worker runs handlers on a client. A program that wants a queue without a server uses
// package store.
//
//	c, err := client.New("http://127.0.0.1:5080", client.Options{Retry: time.Minute})
//	…
//	defer c.Close()
//	_, err = c.Put(ctx, []glassq.Task{{Queue: "mail", ID: "welcome/17", Body: []byte("ann@example.org")}})
//
// # What to know
//
// New does not connect. A call fails at once when the server cannot be reached, or waits for it, by
// Options.Retry. A call that is repeated after a broken connection may have been done before. Acks
// and extends are safe to repeat, and so are puts: with Retry a task without an id gets one. Leases
// that were handed out into the broken connection come back when they run out. Without Retry the
// code of an error tells: unavailable was not done, outcome_unknown may be. So it is with the end of a
// ctx: the error wraps that of ctx, and has code outcome_unknown where the call may have been done.
//
// One client serves a whole program, from any number of goroutines; it keeps its connections.
//
// # Plumbing
//
// Most programs set a key and Retry, and nothing else. Options.Transport sends the requests in a
// way of the program's own, to trace them, or through a tunnel.
package client
