package glassq_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/store"
)

// open is a queue in memory; a *client.Client has the same verbs.
func open() store.Store {
	return must(store.Open(context.Background(), store.Memory, store.Options{}))
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// reserve takes the next task of a queue.
func reserve(queue store.Store, name string) glassq.Lease {
	return must(queue.Reserve(context.Background(), glassq.Reserve{Queue: name, Wait: -1}))[0]
}

// Put hands tasks to queues, all or none. A task with an id is stored once, however often it is
// put.
func ExampleTask() {
	ctx, queue := context.Background(), open()
	defer queue.Close()

	mail := glassq.Task{Queue: "mail", ID: "welcome/17", Body: []byte("ann@example.org"), Type: glassq.TypeText}
	for _, r := range must(queue.Put(ctx, []glassq.Task{mail, mail})) {
		fmt.Println("duplicate:", r.Duplicate)
	}
	// Output:
	// duplicate: false
	// duplicate: true
}

// A lease is proof of one hand-out. After its ack the task is gone, and the lease is worth nothing.
func ExampleLease() {
	ctx, queue := context.Background(), open()
	defer queue.Close()
	must(queue.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte("ann@example.org")}}))

	leases := must(queue.Reserve(ctx, glassq.Reserve{Queue: "mail", Max: 10, Wait: -1}))
	for _, l := range leases {
		fmt.Printf("%s, attempt %d\n", l.Body, l.Attempt)
		errs := must(queue.Ack(ctx, []glassq.Ack{{Token: l.Token()}}))
		fmt.Println("ack:", errs[0])
	}
	errs := must(queue.Nack(ctx, []glassq.Nack{{Token: leases[0].Token()}}))
	fmt.Println("too late:", errors.Is(errs[0], glassq.ErrLeaseLost))
	// Output:
	// ann@example.org, attempt 1
	// ack: <nil>
	// too late: true
}

// A result goes with the ack, in the same commit. Its record says whether the task is booked as ok
// or failed.
func ExampleAck_result() {
	ctx, queue := context.Background(), open()
	defer queue.Close()
	must(queue.Put(ctx, []glassq.Task{{Queue: "sums", ID: "s1", Body: []byte("1+1"), Type: glassq.TypeText}}))

	l := reserve(queue, "sums")
	record := glassq.Task{Body: []byte(`{"i":"1+1","o":{"ok":1,"sum":2}}`), Type: glassq.TypeJSON}
	must(queue.Ack(ctx, []glassq.Ack{{Token: l.Token(), Result: &record}}))

	r := reserve(queue, glassq.DefaultResults)
	fmt.Printf("%s: %s\n", r.TaskID(), r.Body)
	books := must(queue.Queues(ctx, "sums"))[0].Books
	fmt.Printf("put %d = ok %d + failed %d\n", books.Put, books.OK, books.Failed)
	// Output:
	// s1: {"i":"1+1","o":{"ok":1,"sum":2}}
	// put 1 = ok 1 + failed 0
}

// Follow-ups are put in the commit of the ack: the page is done and its links are tasks, or
// neither.
func ExampleAck_followUp() {
	ctx, queue := context.Background(), open()
	defer queue.Close()
	must(queue.Put(ctx, []glassq.Task{{Queue: "pages", Body: []byte("/")}}))

	l := reserve(queue, "pages")
	links := []glassq.Task{{Queue: "pages", Body: []byte("/about")}, {Queue: "images", Body: []byte("/logo.png")}}
	must(queue.Ack(ctx, []glassq.Ack{{Token: l.Token(), Put: links}}))
	for _, q := range must(queue.Queues(ctx)) {
		fmt.Println(q.Name, q.Ready)
	}
	// Output:
	// images 1
	// pages 1
}

// A nack gives a task back: after the queue's backoff, after Delay, or at once.
func ExampleNack() {
	ctx, queue := context.Background(), open()
	defer queue.Close()
	must(queue.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte("ann@example.org")}}))

	l := reserve(queue, "mail")
	must(queue.Nack(ctx, []glassq.Nack{{Token: l.Token(), Delay: glassq.AtOnce, Reason: "greylisted"}}))
	l = reserve(queue, "mail")
	fmt.Printf("%s, attempt %d\n", l.Body, l.Attempt)
	// Output: ann@example.org, attempt 2
}

// A task that has used up its attempts is dead. It waits for a person, who has it tried again or
// purges it.
func ExampleOperator_redrive() {
	ctx, queue := context.Background(), open()
	defer queue.Close()
	must(queue.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte("ann@example.org"), Attempts: 1}}))

	l := reserve(queue, "mail")
	must(queue.Nack(ctx, []glassq.Nack{{Token: l.Token(), Reason: "no such domain"}}))
	dead, _, err := queue.Peek(ctx, "mail", glassq.Dead, 0, 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range dead {
		fmt.Printf("%s is dead: %s\n", t.Body, t.Reason)
	}
	fmt.Println("redriven:", must(queue.Redrive(ctx, "mail", 0)))
	fmt.Println("attempt:", reserve(queue, "mail").Attempt)
	// Output:
	// ann@example.org is dead: no such domain
	// redriven: 1
	// attempt: 1
}

// A run is a label on tasks, with books that add up. It is complete when it is sealed and nothing
// is pending.
func ExampleRun() {
	ctx, queue := context.Background(), open()
	defer queue.Close()
	tasks := make([]glassq.Task, 3)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: "sums", Run: "monday", Position: uint32(i), Dense: true, Body: fmt.Append(nil, i)}
	}
	must(queue.Put(ctx, tasks))
	must(queue.Put(ctx, tasks)) // again: positions are remembered, nothing is doubled
	must(queue.SetRun(ctx, "monday", glassq.RunChange{Sealed: true, Total: 3}))

	for i := range tasks {
		record := glassq.Task{Body: fmt.Appendf(nil, `{"o":{"ok":%d}}`, i%2), Type: glassq.TypeJSON}
		l := reserve(queue, "sums")
		must(queue.Ack(ctx, []glassq.Ack{{Token: l.Token(), Result: &record}}))
	}
	run := must(queue.AwaitRun(ctx, "monday", glassq.PhaseComplete, -1))
	fmt.Printf("put %d = ok %d + failed %d + dead %d + pending %d\n",
		run.Books.Put, run.Books.OK, run.Books.Failed, run.Books.Dead.Sum(), run.Pending)
	fmt.Println("failed:", must(queue.RunIDs(ctx, "monday", glassq.IDsFailed, 0, 10)))
	// Output:
	// put 3 = ok 1 + failed 2 + dead 0 + pending 0
	// failed: [{0 0} {2 2}]
}

// A queue with a schema refuses what does not agree with it, at the put.
func ExampleSchema() {
	ctx, queue := context.Background(), open()
	defer queue.Close()
	schema := glassq.Schema(`{"type":"object","required":["to"]}`)
	must(queue.Configure(ctx, "mail", glassq.SettingsChange{TaskSchema: &schema}))

	for _, body := range []string{`{"to":"ann@example.org"}`, `{"too":"ann@example.org"}`} {
		_, err := queue.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte(body), Type: glassq.TypeJSON}})
		fmt.Println(err == nil, glassq.CodeOf(err) == glassq.CodeSchema)
	}
	// Output:
	// true false
	// false true
}

// A rate bounds the hand-outs of a queue, whoever asks and through whichever door.
func ExampleSettings_rate() {
	ctx, queue := context.Background(), open()
	defer queue.Close()
	rate := 0.001 // one in a thousand seconds
	must(queue.Configure(ctx, "mail", glassq.SettingsChange{Rate: &rate}))
	must(queue.Put(ctx, []glassq.Task{{Queue: "mail", Body: []byte("a")}, {Queue: "mail", Body: []byte("b")}}))

	fmt.Println("now:", len(must(queue.Reserve(ctx, glassq.Reserve{Queue: "mail", Max: 10}))))
	fmt.Println("and then:", len(must(queue.Reserve(ctx, glassq.Reserve{Queue: "mail", Max: 10}))))
	// Output:
	// now: 1
	// and then: 0
}
