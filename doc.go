// Package glassq is the vocabulary of a task queue that everyone can see through:
// tasks, leases, acks, runs and their books, the verbs on them, and the errors and limits that
// every surface shares.
//
// It promises the words, not the work: an [Engine] stores and hands out tasks (internal/disk is the
// embedded one), a [Broker] stands before it with the one set of rules that every door obeys, and
// the JSON forms in this package are the same through every door. The package imports the standard
// library only, does no I/O, and starts no goroutine.
package glassq
