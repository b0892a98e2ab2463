// Package explain says in sentences why a queue, a run or a task is as it is: who holds it up, or
// what it waits for.
//
// It looks at counters, at the head of a queue and at what internal/live knows, and never at tasks
// one by one, so that an answer takes as long for a million tasks as for one. It changes nothing.
package explain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/live"
	"github.com/glassq/glassq/internal/plain"
)

// Causes, as words for programs.
const (
	Stopping     = "stopping"          // the server stops
	DiskLow      = "disk_low"          // puts are refused for want of room on the disk
	Paused       = "paused"            // the queue hands out nothing
	Halted       = "halted"            // the queue, or a key of it, hands out nothing, as too many tasks failed
	Rate         = "rate"              // workers wait because the rate of the queue lets no more go
	Keys         = "keys"              // keys are held, halted, at their concurrency, or wait for their rate
	NoWorker     = "no_worker"         // tasks are ready, and nobody asks for them
	AtLimit      = "workers_at_limit"  // tasks are ready, and those who work hold as many as they want
	Silent       = "silent_worker"     // leases are held by somebody who has not been heard of
	Working      = "working"           // leases are held by somebody who is there
	Delayed      = "delayed"           // tasks wait for their time
	Full         = "full"              // the queue takes no more puts
	ResultsFull  = "results_full"      // acks are refused since the queue of their results is full
	Dead         = "dead"              // tasks wait for a person
	NotSealed    = "not_sealed"        // more tasks of the run may come
	After        = "after"             // the run waits for the end of another
	ResultsStay  = "results_not_taken" // the run is complete, and its results lie where they are
	AllDone      = "done"              // nothing is left to do
	Moving       = "moving"            // tasks are ready and workers ask for them
	silentAfter  = 30 * time.Second    // a holder of a lease that is not heard of for longer is silent
	recently     = 10 * time.Second    // whoever asked within it still asks
	namedHolders = 3
)

// A Source is the store that is explained.
type Source interface {
	Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error)
	Run(ctx context.Context, name string) (glassq.Run, error)
	Stats(ctx context.Context) (glassq.Stats, error)
	glassq.Finder
}

// An Explainer explains what is in a store. It is safe for concurrent use.
type Explainer struct {
	Store    Source
	Live     *live.Live
	Stopping func() bool // tells whether the server stops; nil is never
}

// say collects the causes of one explanation.
type say []glassq.Cause

func (s *say) add(cause, do, format string, args ...any) {
	*s = append(*s, glassq.Cause{Cause: cause, Text: sentence(format, args...), Do: do})
}

// sentence is fmt.Sprintf for people: %v of a count has commas.
func sentence(format string, args ...any) string {
	for i, a := range args {
		switch n := a.(type) {
		case int:
			args[i] = plain.Comma(uint64(n))
		case int64:
			args[i] = plain.Comma(uint64(n))
		case uint64:
			args[i] = plain.Comma(n)
		}
	}
	return fmt.Sprintf(format, args...)
}

func (s say) explanation(of, head string) glassq.Explanation {
	texts := make([]string, len(s))
	for i, c := range s {
		texts[i] = c.Text
	}
	return glassq.Explanation{Of: of, Text: head + strings.Join(texts, "; ") + ".", Causes: s}
}

// server adds what is true of the whole server.
func (x *Explainer) server(ctx context.Context, to *say) error {
	if x.Stopping != nil && x.Stopping() {
		to.add(Stopping, "", "the server is stopping")
	}
	stats, err := x.Store.Stats(ctx)
	if err != nil {
		return err
	}
	if stats.Storage != glassq.StorageOK {
		to.add(DiskLow, "glassq doctor", "the disk is %s, so puts are refused until there is room; acks go on", stats.Storage)
	}
	return nil
}

// Queue explains a queue. One that is not there is not_found.
func (x *Explainer) Queue(ctx context.Context, name string) (glassq.Explanation, error) {
	var s say
	if err := x.server(ctx, &s); err != nil {
		return glassq.Explanation{}, err
	}
	pending, err := x.queue(ctx, name, nil, &s)
	if err != nil {
		return glassq.Explanation{}, err
	}
	return s.explanation("queue "+name, sentence("%v pending: ", pending)), nil
}

// queue adds the causes of one queue, and returns how many of its tasks are pending. They are told as
// those of a run, if there is one, without the other runs in its queue.
func (x *Explainer) queue(ctx context.Context, name string, of *glassq.Run, s *say) (pending int64, err error) {
	all, err := x.Store.Queues(ctx, name)
	if err != nil {
		return 0, err
	}
	q, v, now := &all[0], x.Live.Queue(name), time.Now()
	if q.Leased == 0 {
		v.Holders = nil // a lease that ran out is known to be over a second or two later
	}
	if q.Settings.Paused {
		s.add(Paused, "glassq queue resume "+name, "it is paused, nothing is handed out")
	}
	if err := x.results(ctx, q, v.Results, s); err != nil {
		return 0, err
	}
	if q.Halted.Now() {
		s.add(Halted, "glassq queue resume "+name, "it is %s", q.Halted)
	}
	open := keys(q, s)
	if q.Ready > 0 && open && !q.Settings.Paused && !q.Halted.Now() {
		ready(q, &v, now, x.taker(ctx, name), s)
	}
	if q.Delayed > 0 {
		d, err := x.Store.NextDelayed(ctx, name)
		switch {
		case d.Timed:
			s.add(Delayed, "", "%v delayed, the next until %s", q.Delayed, now.Add(d.In).UTC().Format("15:04:05"))
		case err == nil || errors.Is(err, glassq.ErrUnsupported):
			s.add(Delayed, "", "%v delayed", q.Delayed)
		default:
			return 0, err
		}
		if of == nil {
			if err := x.waiting(ctx, d, s); err != nil {
				return 0, err
			}
		}
	}
	if q.Leased > 0 {
		leased(q, &v, now, x.taker(ctx, name), s)
	}
	if q.Dead > 0 {
		s.add(Dead, "glassq queue redrive "+name, "%s for a person", plain.Plural(q.Dead, "dead waits", "dead wait"))
	}
	if isFull(q) {
		s.add(Full, "glassq queue set "+name+" --max-tasks 0 --max-bytes 0", "it is full, so puts are refused or wait")
	}
	pending = q.Delayed + q.Ready + q.Leased
	if pending == 0 && q.Dead == 0 {
		s.add(AllDone, "", "nothing is left to do")
	}
	return pending, nil
}

// isFull tells whether one more task of no size finds no room.
func isFull(q *glassq.QueueInfo) bool {
	set := &q.Settings
	tasks := q.Delayed + q.Ready + q.Leased + q.Dead
	return set.MaxTasks > 0 && tasks >= set.MaxTasks || set.MaxBytes > 0 && q.Bytes >= set.MaxBytes
}

// results adds that the results of a queue find no room.
func (x *Explainer) results(ctx context.Context, q *glassq.QueueInfo, results string, s *say) error {
	if results == "" {
		results = glassq.DefaultResults
	}
	if results == q.Name || q.Ready+q.Leased == 0 {
		return nil
	}
	all, err := x.Store.Queues(ctx, results)
	if errors.Is(err, glassq.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if isFull(&all[0]) {
		s.add(ResultsFull, "glassq output --results "+results, "the queue %s is full, so results are refused and workers wait", results)
	}
	return nil
}

// taker is the command that takes what lies in a queue. A worker would end results as bad tasks.
func (x *Explainer) taker(ctx context.Context, queue string) string {
	if queue == glassq.DefaultResults {
		return "glassq output"
	}
	run, ok := strings.CutPrefix(queue, glassq.DefaultResults+".")
	if !ok {
		return "glassq work http --queue " + queue
	}
	if r, err := x.Store.Run(ctx, run); err == nil && r.Results == queue {
		return "glassq output --run " + run
	}
	return "glassq output --results " + queue
}

// keys adds what stops keys of a queue, and tells whether the key of some ready task may go.
func keys(q *glassq.QueueInfo, s *say) (open bool) {
	k := q.Keys
	if k == nil || k.Stopped() == 0 {
		return true
	}
	var why []string
	for _, x := range []struct {
		n    int64
		what string
	}{{k.Held, "held"}, {k.Halted, "halted"}, {k.Full, "at the concurrency it may have"}, {k.Paced, "waiting for the rate"}} {
		if x.n > 0 {
			why = append(why, sentence("%v %s", x.n, x.what))
		}
	}
	s.add(Keys, "glassq keys "+q.Name, "%v ready; of %s with ready tasks some may not go: %s", q.Ready,
		plain.Plural(k.Waiting, "key", "keys"), strings.Join(why, ", "))
	if h := q.HaltedKeys; h.Count > 0 {
		s.add(Halted, "glassq keys "+q.Name, "%s", plain.Text([]byte(h.String())))
	}
	return k.Stopped() < k.Waiting
}

// ready adds why tasks that are ready are not taken; take is the command that takes them.
func ready(q *glassq.QueueInfo, v *live.QueueView, now time.Time, take string, s *say) {
	limited := q.Settings.Rate > 0 || q.Settings.Stages != ""
	asks := q.Waiters > 0 || now.Sub(v.Asked) <= recently
	there := slices.DeleteFunc(slices.Clone(v.Holders), func(h live.Holder) bool { return now.Sub(h.Seen) > silentAfter })
	switch {
	case limited && (q.Waiters > 0 || q.Rate == 0 || asks && q.Due > 0):
		next := ""
		if q.Due >= 1 {
			next = ", the next one in " + ago(time.Duration(q.Due*float64(time.Second)))
		}
		s.add(Rate, "glassq queue set "+q.Name+" --rate 0", "%v ready, let go at %.4g a second%s", q.Ready, q.Rate, next)
	case asks && (q.Waiters > 0 || len(there) == 0):
		s.add(Moving, "", "%v ready, and workers ask for them", q.Ready)
	case len(there) > 0:
		s.add(AtLimit, take, "%v ready, and the workers are at their limit: %s", q.Ready, holders(there))
	case v.Asked.IsZero():
		s.add(NoWorker, take, "%v ready and nobody asks (nobody has since the server began)", q.Ready)
	default:
		who := v.Asker
		if who == "" {
			who = "this program"
		}
		s.add(NoWorker, take, "%v ready and nobody asks (last %s, %s ago)", q.Ready, who, ago(now.Sub(v.Asked)))
	}
}

// leased adds who holds the leases; take is the command that takes what a silent worker gives back.
func leased(q *glassq.QueueInfo, v *live.QueueView, now time.Time, take string, s *say) {
	if q.Waiters > 0 {
		take = "" // somebody will
	}
	for _, h := range v.Holders[:min(len(v.Holders), namedHolders)] {
		switch seen := now.Sub(h.Seen); {
		case h.Name == "others":
			s.add(Working, "", "%v leased by clients without a name", h.Leases)
		case seen > silentAfter:
			s.add(Silent, take, "%v leased by %s, silent for %s; they come back when their leases run out", h.Leases, h.Name, ago(seen))
		default:
			s.add(Working, "", "%v leased by %s, heard of %s ago", h.Leases, h.Name, ago(seen))
		}
	}
	if n := len(v.Holders) - namedHolders; n > 0 {
		s.add(Working, "glassq top", "more leased by at least %s", plain.Plural(n, "other", "others"))
	}
	if n := q.Leased - int64(v.Known); n > 0 {
		s.add(Working, "", "%v leased by clients of before the server began", n)
	}
}

// holders names some, with what they hold.
func holders(all []live.Holder) string {
	var names []string
	for _, h := range all[:min(len(all), namedHolders)] {
		names = append(names, sentence("%s holds %v", h.Name, h.Leases))
	}
	return strings.Join(names, ", ")
}

// ago is a duration as people say it.
func ago(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Hours()))
}

// Run explains a run. One that is not there is not_found.
func (x *Explainer) Run(ctx context.Context, name string) (glassq.Explanation, error) {
	r, err := x.Store.Run(ctx, name)
	if err != nil {
		return glassq.Explanation{}, err
	}
	var s say
	if err := x.server(ctx, &s); err != nil {
		return glassq.Explanation{}, err
	}
	if !r.Sealed {
		s.add(NotSealed, "", "it is not sealed: whoever dispatches has not said that this was all")
	}
	if r.Held {
		if err := x.after(ctx, &r, "it", &s); err != nil {
			return glassq.Explanation{}, err
		}
	} else if r.Pending > 0 && r.Queue != "" {
		before := len(s)
		pending, err := x.queue(ctx, r.Queue, &r, &s)
		if err != nil && !errors.Is(err, glassq.ErrNotFound) {
			return glassq.Explanation{}, err
		}
		if uint64(pending) != r.Pending && len(s) > before { // what follows counts others, too
			s[before].Text = "in its queue " + r.Queue + ": " + s[before].Text
		}
	}
	if dead := r.Books.Dead.Sum(); dead > 0 && r.Pending == 0 {
		s.add(Dead, "", "%v ended without an ack", dead)
	}
	switch {
	case r.Complete && r.Waiting > 0:
		s.add(ResultsStay, "glassq output --run "+name, "it is complete, and %s in %s",
			plain.Plural(r.Waiting, "result lies", "results lie"), r.Results)
	case r.Complete:
		s.add(AllDone, "", "everything is done")
	}
	b := &r.Books
	head := sentence("put %v = ok %v + failed %v + dead %v + pending %v: ", b.Put, b.OK, b.Failed, b.Dead.Sum(), r.Pending)
	return s.explanation("run "+name, head), nil
}

// waiting adds which runs have tasks that are delayed until another run has ended.
func (x *Explainer) waiting(ctx context.Context, d glassq.Delays, s *say) error {
	for _, name := range d.Runs {
		r, err := x.Store.Run(ctx, name)
		if errors.Is(err, glassq.ErrNotFound) || err == nil && !r.Held {
			continue // it has begun, or gone, meanwhile
		}
		if err != nil {
			return err
		}
		if err := x.after(ctx, &r, "run "+name, s); err != nil {
			return err
		}
	}
	if d.More > 0 {
		s.add(After, "glassq runs ls", "%s for other runs, too", plain.Plural(uint64(d.More), "more run waits", "more runs wait"))
	}
	return nil
}

// after adds which run another one waits for, and why it still does; who is the other one, as a
// sentence begins.
func (x *Explainer) after(ctx context.Context, r *glassq.Run, who string, s *say) error {
	first, err := x.Store.Run(ctx, r.After)
	if errors.Is(err, glassq.ErrNotFound) {
		s.add(After, "glassq runs cancel "+r.Name, "%s waits for the end of run %s, which is not there any more", who, r.After)
		return nil
	}
	if err != nil {
		return err
	}
	b, do := &first.Books, "glassq explain "+first.Name
	switch {
	case first.Complete:
		s.add(After, "glassq runs retry "+first.Name, "%s waits for the success of run %s, which ended with %v failed and %v dead",
			who, first.Name, b.Failed, b.Dead.Sum())
	case first.Held:
		s.add(After, do, "%s waits for the end of run %s, which waits for run %s", who, first.Name, first.After)
	case !first.Sealed:
		s.add(After, do, "%s waits for the end of run %s, which is not sealed and has %v pending", who, first.Name, first.Pending)
	default:
		s.add(After, do, "%s waits for the end of run %s, which has %v pending", who, first.Name, first.Pending)
	}
	return nil
}

// A Task is where one task is, in words, and the task where it is held.
type Task struct {
	glassq.Whereabouts
	glassq.Peeked
}

// Task finds a task and says where it is.
func (x *Explainer) Task(ctx context.Context, f glassq.Find) (t Task, err error) {
	found, err := x.Store.Find(ctx, f)
	if err != nil {
		return t, err
	}
	t.Where, t.Peeked = found.Where, found.Peeked
	switch t.Where {
	case glassq.FoundHeld:
		t.Text = x.held(&found.Peeked, f.Lease)
	case glassq.FoundPending:
		t.Text = "It is pending: delayed, ready or leased; which of them is not indexed by position."
		if r, err := x.Store.Run(ctx, f.Run); err == nil && r.Queue != "" {
			t.Do = "glassq queue peek " + r.Queue
		}
	case glassq.FoundOK:
		t.Text = "It is done: acked with a result and booked as ok."
	case glassq.FoundFailed:
		t.Text = "It is done: acked and booked as failed."
	case glassq.FoundDead:
		t.Text = "It ended without an ack: dead, expired, purged or cancelled."
	case glassq.FoundAcked:
		t.Text = "This lease was acked."
	case glassq.FoundGone:
		t.Text = "It was there and is no more: acked, given back, expired, purged or cancelled, or its lease ran out."
	case glassq.FoundWindow:
		t.Text = "An id of your own is not indexed: it was put within the last 10 minutes, and a look into the queue tells whether it is there."
		t.Do = "glassq queue peek " + f.Queue
	default:
		t.Text = "No such task was put, as far as is known: ids of your own are known for 10 minutes."
		t.Do = "glassq queue peek " + f.Queue
	}
	if f.Queue == "" && t.Where == glassq.FoundNever {
		t.Text, t.Do = "No such task was put.", ""
	}
	return t, nil
}

// held says how a task is that is there.
func (x *Explainer) held(f *glassq.Peeked, lease uint64) string {
	text := fmt.Sprintf("It is %s, put %s ago and handed out %s.", f.State, ago(f.Age),
		plain.Plural(f.Attempt, "time", "times"))
	if w, until, ok := x.Live.Holder(lease); ok && f.State == glassq.Leased {
		text += fmt.Sprintf(" %s holds it until %s.", w.Name, until.UTC().Format("15:04:05"))
	}
	if f.State == glassq.Dead && f.Reason != "" {
		text += " " + f.Reason
	}
	if said := f.Progress.String(); said != "" {
		text += " Its workers said: " + said + "."
	}
	return text
}
