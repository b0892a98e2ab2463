// Package result is the result record: what a worker sends back about one task, and how its queue
// books it.
//
//	{"i":"http://localhost:8888/?q=7","o":{"ok":1,"rt":0.012345,"code":200,"n":512}}
//
// # Who should use it
//
// Workers in Go that print their own records, with [Append]; programs that run work in other
// languages, whose records lack what surrounds the work, with [Complete]; and programs that read a
// results queue, with [Parse]. A worker of worker.Do needs none of them.
//
//	r.Body = result.Append(r.Body, l.Body, l.Type, &result.Record{OK: true, Took: took, Attempt: l.Attempt})
//
// # What to know
//
// The member i is the task's body, and o is what came out of it: ok, and whatever else the worker
// knows. A record is read as generously as most readers do: of a member that is there twice the
// last one counts, and bytes that are not UTF-8 do no harm.
//
// # Plumbing
//
// [OutcomeOf] is the one place that decides whether a task is booked as ok or failed; a queue calls
// it, and most programs need not. [Record.Set] is for readers that look for members of their own on
// the way. The package keeps no state; everything is safe for concurrent use.
package result
