package ladder

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
)

var (
	allStates = []glassq.State{glassq.Delayed, glassq.Ready, glassq.Leased, glassq.Dead}
	allSets   = []glassq.IDSet{glassq.IDsPut, glassq.IDsDone, glassq.IDsFailed, glassq.IDsDead}
)

// A view is everything that a store shows, as text: one line for each queue, task and run.
type view struct{ strings.Builder }

func (v *view) queue(name string, set glassq.Settings, b glassq.Books, bytes int64, held [4]int64,
	halted bool, until int64) {
	if b == (glassq.Books{}) && set == (glassq.Settings{}) && held == [4]int64{} {
		return // made by a reserve that found nothing: no promise is about it
	}
	keys, _ := json.Marshal(set.Keys)
	set.Keys = nil
	fmt.Fprintf(v, "queue %s %v %s %v %d bytes, held %v, halted %v until %d\n", name, set, keys, b, bytes, held, halted, until)
}

func (v *view) task(num uint64, st glassq.State, t *glassq.Task, id string, attempt int, at int64, reason string,
	said *glassq.Progress) {
	h := fnv.New32a()
	h.Write(t.Body)
	short := t.Body[:min(len(t.Body), 24)]
	fmt.Fprintf(v, " %d %v %q+%d/%x id %q run %q of %d level %d attempt %d at %d %q %v\n",
		num, st, short, len(t.Body), h.Sum32(), id, t.Run, t.OfAttempt, t.Priority.Level(), attempt, at, reason, said)
}

// run shows a run. When one ended whose end is written, or which came after another, is not shown, see timeless.
func (v *view) run(name string, c glassq.RunChange, b glassq.Books, waiting uint64, created, ended int64,
	ends uint64, waits bool, job *glassq.Job) {
	if ends > 0 || c.After != "" {
		ended = min(ended, 1)
	}
	fmt.Fprintf(v, "run %s %+v %v waiting %d created %d ended %d, end %d, waits %v job %v\n", name, c, b, waiting, created,
		ended, ends, waits, job)
}

// observe reads everything that the store shows. now is the time in ms.
func observe(ctx context.Context, s glassq.Store, now int64) (string, error) {
	var v view
	qs, err := s.Queues(ctx)
	if err != nil {
		return "", fmt.Errorf("Queues: %w", err)
	}
	for i := range qs {
		q := &qs[i]
		if q.Pending != q.Books.Pending() || q.Pending != uint64(q.Delayed+q.Ready+q.Leased) {
			return "", fmt.Errorf("queue %s: the books %+v say pending %d; it holds delayed %d, ready %d, leased %d",
				q.Name, q.Books, q.Pending, q.Delayed, q.Ready, q.Leased)
		}
		held := [4]int64{q.Delayed, q.Ready, q.Leased, q.Dead}
		until := int64(0)
		if !q.Halted.Until.IsZero() {
			until = q.Halted.Until.UnixMilli()
		}
		var tasks view
		for k, st := range allStates {
			if held[k] == 0 {
				continue
			}
			ps, next, err := s.Peek(ctx, q.Name, st, 0, 1000)
			if err != nil || next != 0 {
				return "", fmt.Errorf("Peek(%s, %v) = %d tasks, next %d, %w", q.Name, st, len(ps), next, err)
			}
			for i := range ps {
				p, at := &ps[i], int64(0)
				if strings.Contains(p.Reason, "a task does not read") {
					return "", glassq.Errorf(glassq.CodeDamaged, "Peek(%s, %v): task %d: %s", q.Name, st, p.Number, p.Reason)
				}
				if st == glassq.Delayed || st == glassq.Leased {
					at = now + p.Due.Milliseconds()
				}
				size := len(p.Body)
				var ended time.Time
				if p.Body, ended = timeless(p.Body); ended.UnixMilli() > now {
					return "", fmt.Errorf("task %d of %s tells of an end at %v", p.Number, q.Name, ended)
				} else if !ended.IsZero() {
					q.Bytes -= int64(size) // how long it is depends on when that was
				}
				tasks.task(p.Number, st, &p.Task, p.TaskID(), p.Attempt, at, p.Reason, p.Progress)
			}
		}
		v.queue(q.Name, q.Settings, q.Books, q.Bytes, held, q.Halted.Now(), until)
		if err := v.observeKeys(ctx, s.(glassq.Keys), q.Name); err != nil {
			return "", err
		}
		v.WriteString(tasks.String())
	}
	if err := v.observeSchedules(ctx, s.(glassq.Schedules)); err != nil {
		return "", err
	}
	rs, err := s.Runs(ctx)
	if err != nil {
		return "", fmt.Errorf("Runs: %w", err)
	}
	slices.SortFunc(rs, func(a, b glassq.Run) int { return strings.Compare(a.Name, b.Name) })
	for i := range rs {
		r := &rs[i]
		ended := int64(0)
		if !r.Ended.IsZero() {
			ended = r.Ended.UnixMilli()
		}
		v.run(r.Name, glassq.RunChange{Source: r.Source, Queue: r.Queue, Results: r.Results, Sealed: r.Sealed,
			Total: r.Total, RetryOf: r.RetryOf, OnEnd: r.OnEnd, OnFailed: r.OnFailed, After: r.After, AfterAny: r.AfterAny},
			r.Books, r.Waiting, r.Created.UnixMilli(), ended, r.Ends, r.Held, r.Job)
		for _, set := range allSets {
			ivs, err := s.RunIDs(ctx, r.Name, set, 0, 10_000)
			if err != nil {
				return "", fmt.Errorf("RunIDs(%s, %s): %w", r.Name, set, err)
			}
			fmt.Fprintf(&v, " %s %v\n", set, ivs)
		}
	}
	return v.String(), nil
}

// view is what a store ought to show at the model's time.
func (m *model) view() string {
	var v view
	for _, name := range slices.Sorted(maps.Keys(m.queues)) {
		var held [4]int64
		for k, st := range allStates {
			held[k] = m.held(name, st)
		}
		q := m.queues[name]
		bytes := m.bytes(name)
		if name == hookQueue {
			for i := range m.tasks {
				if t := &m.tasks[i]; t.Queue == name {
					bytes -= int64(len(t.Body))
				}
			}
		}
		v.queue(name, q.set, q.books, bytes, held, q.halt.halted, q.halt.until)
		m.viewKeys(&v, name)
		for _, st := range allStates {
			for i := range m.tasks {
				t := &m.tasks[i]
				if t.Queue != name || t.state != st {
					continue
				}
				at := int64(0)
				if st == glassq.Delayed || st == glassq.Leased {
					at = t.at
				}
				if t.held {
					at = m.now
				}
				id := t.TaskID()
				if id == "" {
					id = glassq.AssignedID(t.num)
				}
				v.task(t.num, st, &t.Task, id, t.attempt, at, t.reason, t.said)
			}
		}
	}
	m.viewSchedules(&v)
	for _, name := range slices.Sorted(maps.Keys(m.runs)) {
		r := m.runs[name]
		waiting := uint64(0)
		for i := range m.tasks {
			if t := &m.tasks[i]; t.Run == name && t.OfAttempt > 0 && t.state != glassq.Dead {
				waiting++
			}
		}
		c := r.change
		if c.Results == "" {
			c.Results = glassq.DefaultResults
		}
		v.run(name, c, r.books, waiting, r.created, r.ended, r.ends, r.waits, m.job(name))
		for k, set := range []map[uint32]bool{r.put, r.done, r.failed, r.dead} {
			var ivs []glassq.Interval
			for _, n := range slices.Sorted(maps.Keys(set)) {
				if j := len(ivs) - 1; j >= 0 && ivs[j].Last+1 == n {
					ivs[j].Last = n
				} else {
					ivs = append(ivs, glassq.Interval{First: n, Last: n})
				}
			}
			fmt.Fprintf(&v, " %s %v\n", allSets[k], ivs)
		}
	}
	return v.String()
}
