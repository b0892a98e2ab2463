package ladder

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// A chooser decides what a driver does: a *rand.Rand, or rapid.
type chooser interface {
	IntN(n int) int
	Uint32N(n uint32) uint32
	Shuffle(n int, swap func(i, j int))
}

// A driver takes one step after the other with a store and its model, and compares every answer.
type driver struct {
	s        glassq.Store
	m        *model
	rng      chooser
	prefix   string // of the bodies, so that every body is put once
	bodies   int
	next     uint32 // the next position of the current run
	runNo    int
	youngest int          // the number of the newest run that something was said of
	firm     bool         // the step handed out what a crash must not forget
	floor    uint64       // a lease number must be above it: it was handed out before a crash
	clock    func() int64 // the time of the log in ms; nil: that of the machine
}

// now is the time of the log in ms. What is due by a wall clock that says so is done.
func (d *driver) now() int64 {
	if len(d.m.schedules) > 0 {
		synctest.Wait()
	}
	if d.clock != nil {
		return d.clock()
	}
	return time.Now().UnixMilli()
}

// How much of a step's effect must survive, once it was answered.
type duty uint8

const (
	lazy    duty = iota // nothing: a crash may forget it
	written             // a killed process must not lose it
	durable             // a power cut must not either, with sync always
)

// duties are those of the steps that are not lazy.
var duties = map[string]duty{
	"put": durable, "big": durable, "dup": durable, "ids": durable, "range": durable, "one": durable, "delay": durable,
	"say": durable, "ack": durable, "result": durable, "allack": durable, "nack": durable, "die": durable, "set": durable,
	"unpause": durable, "halt": durable, "trip": durable, "keys": durable, "hold": durable, "release": durable,
	"unique": durable, "purge": durable,
	"bury": durable, "redrive": durable, "some": durable, "seal": durable, "cancel": durable, "drop": durable,
	"forget": durable, "restart": durable, "archive": durable, "hook": durable, "hookroom": durable, "schedule": durable,
	"unschedule": durable, "after": durable, "retry": durable,
	"take": written, "sleep": written, "expire": written, "hour": written,
}

// restful steps make sure that what came before them is written, though they change nothing
// themselves.
var restful = map[string]bool{"restart": true, "archive": true, "sleep": true, "expire": true, "hour": true}

var queues = []string{"q0", "q1", glassq.DefaultResults, hookQueue, dueQueue}

func (d *driver) queue() string  { return queues[d.rng.IntN(2)] }
func (d *driver) shelf() string  { return queues[d.rng.IntN(8)/2+d.rng.IntN(10)/9] } // seldom the last of them
func (d *driver) runOf() string  { return runName(d.runNo) }
func (d *driver) one(n int) bool { return d.rng.IntN(n) == 0 }

// halted is a queue that may send a probe, or has sent one, if there is any.
func (d *driver) halted() string {
	for _, queue := range queues {
		if h := d.m.queues[queue].halt; h.halted && h.until > 0 && h.until <= d.m.now {
			return queue
		}
	}
	return d.shelf()
}

func (d *driver) body(size int) []byte {
	d.bodies++
	b := fmt.Appendf(nil, "%s%d ", d.prefix, d.bodies)
	for len(b) < size {
		b = append(b, byte('a'+len(b)*7%26))
	}
	return b
}

// task makes a task of any kind, for any queue but that of the results.
func (d *driver) task(size int) glassq.Task {
	t := glassq.Task{Queue: d.queue(), Body: d.body(size), Priority: glassq.Level(3 + d.rng.IntN(3))}
	switch d.rng.IntN(5) {
	case 0:
		t.ID = fmt.Sprintf("id%d", d.rng.IntN(30))
	case 1:
		t.Run = d.runOf()
	case 2, 3:
		t.Run, t.Dense, t.Position = d.runOf(), true, d.next
		if d.next++; d.one(5) {
			d.next++ // leaves a gap
		}
	}
	if d.one(2) {
		t.Key = []string{"a", "b"}[d.rng.IntN(2)]
	}
	if d.one(3) {
		t.Cost = uint32(1 + d.rng.IntN(6))
	}
	switch d.rng.IntN(6) {
	case 0:
		t.TTL = time.Duration(20+d.rng.IntN(100))*time.Second + 250*time.Millisecond
	case 1:
		t.Attempts = 1 + d.rng.IntN(2)
	case 2:
		t.Delay = time.Duration(1+d.rng.IntN(20))*time.Second + 750*time.Millisecond
	case 3:
		t.Lease, t.ResultQueue = time.Duration(20+d.rng.IntN(20))*time.Second+250*time.Millisecond, "q1"
	case 4:
		t.Type, t.Key, t.Flags = glassq.TypeJSON, "host", uint32(d.bodies)
		t.Headers, t.Extra = map[string]string{"traceparent": d.prefix}, []byte(`{"tag":1}`)
	}
	return t
}

// span makes a range, some positions of which may be put already.
func (d *driver) span() glassq.Task {
	t := d.task(20)
	t.ID, t.Run, t.Dense = "", d.runOf(), true
	t.Position, t.Range = d.next, &glassq.Range{Count: 1 + uint64(d.rng.IntN(6)), Add: uint64(d.rng.IntN(3))}
	if d.next > 2 && d.one(2) {
		t.Position = d.next - 2
	}
	t.Body = append(t.Body, "{0:03}"...)
	d.next = max(d.next, t.Position+uint32(t.Range.Count))
	return t
}

// step takes the step of that name. An error says what was wrong with the store's answer.
func (d *driver) step(ctx context.Context, name string) error {
	d.m.advance(d.now())
	err := d.take(ctx, name)
	d.m.endRuns()
	return err
}

func (d *driver) take(ctx context.Context, name string) error {
	switch name {
	case "one":
		return d.put(ctx, d.task(20))
	case "put":
		ts := make([]glassq.Task, 1+d.rng.IntN(4))
		for i := range ts {
			ts[i] = d.task(10 + d.rng.IntN(80))
		}
		return d.put(ctx, ts...)
	case "big":
		ts := make([]glassq.Task, 1+d.rng.IntN(3))
		for i := range ts {
			ts[i] = d.task(600 + d.rng.IntN(2600))
		}
		return d.put(ctx, ts...)
	case "delay":
		t := d.task(30)
		t.Delay = time.Duration(1+d.rng.IntN(40))*time.Second + 750*time.Millisecond
		return d.put(ctx, t)
	case "ids":
		ts := make([]glassq.Task, 3)
		for i := range ts {
			ts[i] = glassq.Task{Queue: "q0", Body: d.body(20), ID: fmt.Sprintf("id%d", d.rng.IntN(6))}
		}
		return d.put(ctx, ts...)
	case "range":
		return d.put(ctx, d.span(), d.task(20))
	case "dup":
		t := glassq.Task{Queue: d.queue(), Body: d.body(20), Run: d.runOf(), Dense: true}
		if d.next > 0 {
			t.Position = d.rng.Uint32N(d.next)
		}
		return d.put(ctx, t)
	case "reserve":
		return d.reserve(ctx, d.shelf(), 1+d.rng.IntN(4), false)
	case "grab": // everything in a queue
		return d.reserve(ctx, d.shelf(), 100, false)
	case "probe":
		return d.reserve(ctx, d.halted(), 2, false)
	case "wait":
		return d.wait(ctx, queues[d.rng.IntN(4)], 1+d.rng.IntN(2)) // two schedules may put one after the other
	case "look":
		return d.look(ctx, d.shelf())
	case "take":
		return d.reserve(ctx, d.shelf(), 1+d.rng.IntN(3), true)
	case "ack":
		return d.ack(ctx, 1+d.rng.IntN(3), false)
	case "allack":
		return d.ack(ctx, 100, false)
	case "result":
		return d.ack(ctx, 1+d.rng.IntN(3), true)
	case "again":
		return d.ackAgain(ctx)
	case "stale":
		return d.ackStale(ctx)
	case "nack":
		return d.nack(ctx, glassq.Nack{Delay: time.Duration(d.rng.IntN(4)-1) * 5750 * time.Millisecond, Reason: "try again"})
	case "die":
		return d.nack(ctx, glassq.Nack{Dead: true, Reason: "no such host"})
	case "undo":
		return d.nack(ctx, glassq.Nack{Undone: true})
	case "hold":
		return d.hold(ctx)
	case "extend":
		return d.extend(ctx)
	case "say":
		return d.say(ctx)
	case "sleep":
		time.Sleep(time.Duration(1+d.rng.IntN(4)) * time.Second)
	case "expire":
		time.Sleep(time.Duration(60+d.rng.IntN(60)) * time.Second)
	case "hour":
		time.Sleep(time.Hour)
	default:
		return d.operate(ctx, name)
	}
	d.m.advance(d.now())
	return nil
}

// unpause is a change of one queue: a crash comes before or after it.
func (d *driver) unpause(ctx context.Context, queue string) error {
	paused := false
	return d.configure(ctx, queue, glassq.SettingsChange{Paused: &paused})
}

func (d *driver) configure(ctx context.Context, queue string, c glassq.SettingsChange) error {
	want := d.m.configure(queue, c)
	if got, err := d.s.Configure(ctx, queue, c); err != nil || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("Configure(%s) = %+v, %v; want %+v", queue, got, err, want)
	}
	return nil
}

// operate takes the steps of an operator.
func (d *driver) operate(ctx context.Context, name string) error {
	queue := d.queue()
	// Of a queue that shows nothing a crash may have forgotten that it was there.
	forgotten := func(err error) bool {
		return glassq.CodeOf(err) == glassq.CodeNotFound && d.m.queues[queue] == mqueue{} && d.m.held(queue) == 0
	}
	count := func(call string, n int, err error, exists bool, want func() int) error {
		if !exists {
			if glassq.CodeOf(err) != glassq.CodeNotFound && err != nil {
				return fmt.Errorf("%s(%s) of nothing = %v", call, queue, err)
			}
			if err == nil && n != 0 {
				return fmt.Errorf("%s(%s) of nothing = %d", call, queue, n)
			}
			return nil
		}
		if forgotten(err) {
			return nil
		}
		if w := want(); err != nil || n != w {
			return fmt.Errorf("%s(%s) = %d, %v; want %d", call, queue, n, err, w)
		}
		return nil
	}
	_, exists := d.m.queues[queue]
	switch name {
	case "set":
		paused, attempts, most := d.one(4), d.rng.IntN(3), int64(d.rng.IntN(2)*40)
		bytes := int64(d.rng.IntN(4)/3) * 20_000
		c := glassq.SettingsChange{Paused: &paused, Attempts: &attempts, MaxTasks: &most, MaxBytes: &bytes}
		return d.configure(ctx, queue, c)
	case "unique": // the ids of "ids" go there
		unique, most := "", int64(d.rng.IntN(2)*40) // over what there are: a way puts one at a time
		if d.rng.IntN(3) > 0 {
			unique = glassq.UniquePending
		}
		return d.configure(ctx, "q0", glassq.SettingsChange{Unique: &unique, MaxUnique: &most})
	case "halt":
		rule, resume := "", float64(d.rng.IntN(3)*20) // 0 is by hand
		if d.rng.IntN(4) > 0 {
			rule = fmt.Sprintf("failed>%d%% of %d", 30*d.rng.IntN(3), 1+d.rng.IntN(5))
		}
		return d.configure(ctx, queue, glassq.SettingsChange{Halt: &rule, HaltResume: &resume})
	case "trip": // the next failure halts
		rule, resume, per := "failed>0% of 1", 20.0, glassq.HaltPerQueue
		return d.configure(ctx, queue, glassq.SettingsChange{Halt: &rule, HaltResume: &resume, HaltPer: &per})
	case "keys":
		return d.keys(ctx, queue)
	case "release":
		return d.release(ctx, queue)
	case "unpause":
		return d.unpause(ctx, queue)
	case "hook":
		return d.hook(ctx)
	case "schedule":
		return d.schedule(ctx)
	case "unschedule":
		return d.unschedule(ctx, []string{"sa", "sb"}[d.rng.IntN(2)])
	case "hookroom":
		return d.hookRoom(ctx)
	case "after":
		return d.after(ctx)
	case "retry":
		return d.retry(ctx)
	case "purge":
		n, err := d.s.Purge(ctx, queue)
		return count("Purge", n, err, exists, func() int { return d.m.purge(queue, glassq.Delayed, glassq.Ready) })
	case "bury":
		n, err := d.s.Purge(ctx, queue, glassq.Dead)
		return count("Purge of the dead", n, err, exists, func() int { return d.m.purge(queue, glassq.Dead) })
	case "redrive":
		most := d.rng.IntN(3)
		n, err := d.s.Redrive(ctx, queue, most)
		return count("Redrive", n, err, exists, func() int { return d.m.redrive(queue, most) })
	case "some":
		f := glassq.DeadFilter{Max: d.rng.IntN(3)}
		switch d.rng.IntN(4) {
		case 0:
			f.Run = runName(d.rng.IntN(d.runNo + 1))
		case 1:
			f.Why = []string{glassq.DeadAttempts, glassq.DeadNacked}[d.rng.IntN(2)]
		case 2:
			f.Reason = []string{"again", "host"}[d.rng.IntN(2)]
		default:
			if all := d.m.numbers(queue, glassq.Dead); len(all) > 0 {
				f.Tasks = []string{glassq.AssignedID(all[d.rng.IntN(len(all))]), glassq.AssignedID(all[d.rng.IntN(len(all))])}
			}
		}
		if d.one(3) {
			n, err := d.s.PurgeSome(ctx, queue, f)
			return count("PurgeSome", n, err, exists, func() int { return d.m.bury(d.m.meant(queue, f)) })
		}
		n, err := d.s.RedriveSome(ctx, queue, f)
		return count("RedriveSome", n, err, exists, func() int { return d.m.revive(d.m.meant(queue, f)) })
	case "drop":
		err := d.s.Drop(ctx, queue)
		switch {
		case !exists: // a reserve may have made it
		case d.m.held(queue, glassq.Leased) > 0:
			if glassq.CodeOf(err) != glassq.CodeBadRequest {
				return fmt.Errorf("Drop(%s) with leased tasks = %v; want code bad_request", queue, err)
			}
		case forgotten(err):
		case err != nil:
			return fmt.Errorf("Drop(%s) = %v", queue, err)
		default:
			d.m.drop(queue)
		}
	case "seal":
		c := glassq.RunChange{Source: "a source", Sealed: true, Total: uint64(d.next)}
		if d.one(2) {
			c.Results = glassq.DefaultResults
		}
		name := d.runOf()
		if err := d.setRun(ctx, name, c); err != nil {
			return err
		}
		d.runNo++
		d.next = 0
	case "cancel":
		name := d.runOf()
		if _, ok := d.m.runs[name]; !ok {
			return nil
		}
		if err := d.cancel(ctx, name); err != nil {
			return err
		}
		d.runNo++
		d.next = 0
	case "forget":
		name := runName(d.rng.IntN(d.runNo + 1))
		if _, ok := d.m.runs[name]; !ok {
			return nil
		}
		if err := differs(d.s.DropRun(ctx, name), d.m.forgetRun(name)); err != nil {
			return fmt.Errorf("DropRun(%s): %w", name, err)
		}
	default:
		panic("no step is called " + name)
	}
	return nil
}

func (d *driver) put(ctx context.Context, ts ...glassq.Task) error {
	got, err := d.s.Put(ctx, ts)
	if code := d.m.refuses(ts); code != "" {
		if glassq.CodeOf(err) != code {
			return fmt.Errorf("Put of %d tasks = %v; want code %s", len(ts), err, code)
		}
		return nil
	}
	if err != nil || len(got) != len(ts) {
		return fmt.Errorf("Put of %d tasks = %d receipts, %v", len(ts), len(got), err)
	}
	for i := range ts {
		if want := d.m.put(ts[i]); got[i] != want {
			return fmt.Errorf("Put of %q (id %q, run %q) = %+v; want %+v", ts[i].Body[:min(20, len(ts[i].Body))],
				ts[i].TaskID(), ts[i].Run, got[i], want)
		}
	}
	return nil
}

func (d *driver) reserve(ctx context.Context, queue string, most int, take bool) error {
	length := time.Duration(30+d.rng.IntN(40))*time.Second + 500*time.Millisecond
	if !take && d.one(5) {
		length = 0 // the task's own
	}
	got, err := d.s.Reserve(ctx, glassq.Reserve{Queue: queue, Max: most, Lease: length, Take: take})
	return d.handed(queue, most, length, take, got, err)
}

// handed compares what a reserve gave with what it ought to give now.
func (d *driver) handed(queue string, most int, length time.Duration, take bool, got []glassq.Lease, err error) error {
	may := d.m.may(queue, most)
	if want := len(d.m.heads(queue, most)); err != nil || len(got) > may || !d.m.queues[queue].keyed && len(got) != want {
		return fmt.Errorf("Reserve of %d from %s = %d leases, %v; want %d", most, queue, len(got), err, want)
	}
	for i := range got {
		l := &got[i]
		l.Body, _ = timeless(l.Body)
		t := d.m.heir(queue, l.Body)
		if t == nil {
			return fmt.Errorf("Reserve from %s: hand-out %d is %q, whose key may not go", queue, i, l.Body[:min(20, len(l.Body))])
		}
		switch {
		case !bytes.Equal(l.Body, t.Body):
			return fmt.Errorf("Reserve from %s: hand-out %d is %q; want %q, task %d", queue, i, l.Body[:min(20, len(l.Body))],
				t.Body[:min(20, len(t.Body))], t.num)
		case l.Attempt != t.attempt+1:
			return fmt.Errorf("Reserve from %s: attempt %d of task %d; want %d", queue, l.Attempt, t.num, t.attempt+1)
		case !sameOptions(&l.Task, &t.Task):
			return fmt.Errorf("Reserve from %s: task %d came as %+v; it was put as %+v", queue, t.num, l.Task, t.Task)
		case !sameSaid(l.Progress, t.said):
			return fmt.Errorf("Reserve from %s: task %d says %+v; want %+v", queue, t.num, l.Progress, t.said)
		}
		d.firm = d.firm || d.m.limited(queue, t.Key)
		d.m.spend(t)
		switch {
		case take:
			taken := *t
			taken.lease = 0 // that of a hand-out before
			d.m.done(taken, glassq.OK, false)
			continue
		case l.Number <= max(d.m.high, d.floor):
			return fmt.Errorf("Reserve from %s: lease number %d; %d was handed out before", queue, l.Number,
				max(d.m.high, d.floor))
		}
		granted := cmp.Or(length, t.Lease, glassq.DefaultLease)
		if l.Length != granted {
			return fmt.Errorf("Reserve from %s: task %d is leased for %v; want %v", queue, t.num, l.Length, granted)
		}
		d.m.handOut(t.num, l.Number, granted.Milliseconds())
	}
	if left := d.m.eligible(queue); len(got) < may && len(left) > 0 {
		return fmt.Errorf("Reserve of %d from %s = %d leases; task %d may go too", most, queue, len(got), left[0])
	}
	return nil
}

// sameSaid compares what a hand-out says of its task with what was said.
func sameSaid(got, want *glassq.Progress) bool {
	if got == nil || want == nil {
		return got == want
	}
	return got.Done == want.Done && got.Note == want.Note && got.Size == want.Size &&
		bytes.Equal(got.Checkpoint, want.Checkpoint)
}

// sameOptions compares what a hand-out carries beside body and id with what was put.
func sameOptions(got, put *glassq.Task) bool {
	return got.Type == put.Type && got.Key == put.Key && costOf(got) == costOf(put) && got.Flags == put.Flags &&
		got.Run == put.Run && got.Position == put.Position &&
		got.Dense == put.Dense && got.OfAttempt == put.OfAttempt && got.ResultQueue == put.ResultQueue &&
		got.Priority.Level() == put.Priority.Level() &&
		maps.Equal(got.Headers, put.Headers) && bytes.Equal(got.Extra, put.Extra)
}

// wait reserves and waits for the first task, which time may make ready.
func (d *driver) wait(ctx context.Context, queue string, most int) error {
	wait := time.Duration(1+d.rng.IntN(30)) * time.Second
	before, start := d.m.clone(), d.now()
	got, err := d.s.Reserve(ctx, glassq.Reserve{Queue: queue, Max: most, Wait: wait, Lease: time.Minute})
	now := d.now()
	if now > start { // nothing was ready a moment ago, or it would have come then
		before.advance(now - 1)
		if w := before.eligible(queue); before.may(queue, most) > 0 && len(w) > 0 {
			return fmt.Errorf("Reserve from %s came back after %d ms; %d tasks were ready before", queue, now-start, len(w))
		}
	}
	if len(got) == 0 && err == nil && now-start < wait.Milliseconds() {
		return fmt.Errorf("Reserve from %s with a wait of %v gave up after %d ms", queue, wait, now-start)
	}
	d.m.advance(now)
	if len(got) == 0 && err == nil { // what is ready since this very moment came too late, or did not: both is right
		return nil
	}
	return d.handed(queue, most, time.Minute, false, got, err)
}

// look shows the next task and takes nothing: the eldest one where keys keep all of them back.
func (d *driver) look(ctx context.Context, queue string) error {
	got, err := d.s.Reserve(ctx, glassq.Reserve{Queue: queue, Max: 1, Look: true})
	paused := d.m.queues[queue].set.Paused
	ready := d.m.first(queue, len(d.m.tasks))
	if err != nil || len(got) != min(1, len(ready)) {
		return fmt.Errorf("Look at %s (paused %v) = %d leases, %w; want one of %d", queue, paused, len(got), err, len(ready))
	}
	if len(got) == 1 {
		got[0].Body, _ = timeless(got[0].Body)
		t := d.m.heir(queue, got[0].Body)
		if t == nil {
			t = d.m.find(slices.Min(ready))
		}
		if !bytes.Equal(got[0].Body, t.Body) || got[0].Number != 0 || got[0].Attempt != t.attempt {
			return fmt.Errorf("Look at %s shows %q, number %d, attempt %d; want %q, no number, attempt %d",
				queue, got[0].Body[:min(20, len(got[0].Body))], got[0].Number, got[0].Attempt, t.Body[:min(20,
					len(t.Body))], t.attempt)
		}
	}
	return nil
}

// some picks up to n live leases.
func (d *driver) some(n int) []glassq.Token {
	var all []glassq.Token
	for i := range d.m.tasks {
		if t := &d.m.tasks[i]; t.state == glassq.Leased && t.Queue != clockQueue {
			all = append(all, t.token())
		}
	}
	d.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

func (d *driver) ack(ctx context.Context, n int, results bool) error {
	var acks []glassq.Ack
	for _, tok := range d.some(n) {
		a := glassq.Ack{Token: tok, Outcome: glassq.Outcome(d.rng.IntN(2))}
		if d.one(3) {
			a.Cost = new(uint32(d.rng.IntN(12)))
		}
		if results && tok.Queue != glassq.DefaultResults {
			a.Result = &glassq.Task{Body: d.body(25 + d.rng.IntN(400))}
			if d.one(2) {
				a.Put = []glassq.Task{{Queue: "next", Body: d.body(15)}, {Queue: "q1", Body: d.body(15)}}
			}
		}
		acks = append(acks, a)
	}
	if len(acks) == 0 {
		return nil
	}
	errs, err := d.s.Ack(ctx, acks)
	if err != nil || len(errs) != len(acks) {
		return fmt.Errorf("Ack of %d = %d answers, %v", len(acks), len(errs), err)
	}
	for i := range acks {
		if err := differs(errs[i], d.m.ack(&acks[i])); err != nil {
			return fmt.Errorf("Ack of %v: %w", acks[i].Token, err)
		}
	}
	return nil
}

// differs compares a refusal with the code that it ought to have.
func differs(got error, want glassq.Code) error {
	switch {
	case got == nil && want == "", got != nil && glassq.CodeOf(got) == want:
		return nil
	case want == "":
		return fmt.Errorf("refused: %w", got)
	}
	return fmt.Errorf("answered %v; want code %s", got, want)
}

// ackAgain repeats an ack of before: it is OK and changes nothing.
func (d *driver) ackAgain(ctx context.Context) error {
	var newest glassq.Token
	for tok := range d.m.acked {
		if tok.Number > newest.Number {
			newest = tok
		}
	}
	if newest.Number == 0 || d.m.now-d.m.acked[newest] >= glassq.AckedWindow.Milliseconds() {
		return nil // for how much longer it is remembered nobody promises
	}
	a := glassq.Ack{Token: newest, Outcome: glassq.Failed, Result: &glassq.Task{Body: d.body(20)}, Cost: new(uint32(9))}
	errs, err := d.s.Ack(ctx, []glassq.Ack{a})
	if err != nil {
		return fmt.Errorf("repeated Ack of %v = %v", newest, err)
	}
	if err := differs(errs[0], d.m.ack(&a)); err != nil {
		return fmt.Errorf("repeated Ack of %v: %w", newest, err)
	}
	return nil
}

// ackStale acks a lease that ended without an ack.
func (d *driver) ackStale(ctx context.Context) error {
	if len(d.m.lost) == 0 {
		return nil
	}
	a := glassq.Ack{Token: d.m.lost[d.rng.IntN(len(d.m.lost))], Result: &glassq.Task{Body: d.body(20)}}
	errs, err := d.s.Ack(ctx, []glassq.Ack{a})
	if err != nil {
		return fmt.Errorf("stale Ack of %v = %v", a.Token, err)
	}
	if err := differs(errs[0], d.m.ack(&a)); err != nil {
		return fmt.Errorf("stale Ack of %v: %w", a.Token, err)
	}
	return nil
}

func (d *driver) nack(ctx context.Context, n glassq.Nack) error {
	some := d.some(1)
	if len(some) == 0 {
		return nil
	}
	n.Token = some[0]
	return d.nackThis(ctx, n)
}

func (d *driver) nackThis(ctx context.Context, n glassq.Nack) error {
	errs, err := d.s.Nack(ctx, []glassq.Nack{n})
	if err != nil {
		return fmt.Errorf("Nack(%+v) = %v", n, err)
	}
	if err := differs(errs[0], d.m.nack(&n)); err != nil {
		return fmt.Errorf("Nack(%+v): %w", n, err)
	}
	return nil
}

func (d *driver) extend(ctx context.Context) error {
	some := d.some(1)
	if len(some) == 0 {
		return nil
	}
	length := time.Duration(40+d.rng.IntN(100))*time.Second + 500*time.Millisecond
	errs, err := d.s.Extend(ctx, []glassq.Extend{{Token: some[0], Lease: length}})
	if err != nil || errs[0] != nil {
		return fmt.Errorf("Extend(%v) = %v, %v", some[0], errs, err)
	}
	t := d.m.leased(some[0])
	t.at = d.m.now + length.Milliseconds()
	return nil
}

// say says something under a lease, sometimes again or out of turn, or under one that is lost.
func (d *driver) say(ctx context.Context) error {
	some := d.some(1)
	if len(d.m.lost) > 0 && d.one(6) {
		some = []glassq.Token{d.m.lost[d.rng.IntN(len(d.m.lost))]}
	}
	if len(some) == 0 {
		return nil
	}
	p := &glassq.Progress{Done: float64(d.rng.IntN(5))/4 - 0.25} // the first keeps what was said
	if d.one(2) {
		p.Note = fmt.Sprintf("page %d", d.rng.IntN(200))
	}
	if !d.one(3) {
		p.Checkpoint = d.body(d.rng.IntN(2) * d.rng.IntN(2500))[d.rng.IntN(2):]
	}
	x := glassq.Extend{Token: some[0], Lease: time.Duration(40+d.rng.IntN(100))*time.Second + 500*time.Millisecond,
		Seq: 1, Progress: p}
	if t := d.m.leased(some[0]); t != nil && t.sayer == some[0].Number {
		x.Seq = t.seq + uint64(d.rng.IntN(5)+3)/4 // mostly the next one
	}
	if d.one(3) {
		x.Put = []glassq.Task{{Queue: "next", Body: d.body(15)}, {Queue: d.queue(), Body: d.body(15)}}
	}
	errs, err := d.s.Extend(ctx, []glassq.Extend{x})
	if err != nil || len(errs) != 1 {
		return fmt.Errorf("Extend with seq %d = %v, %v", x.Seq, errs, err)
	}
	if err := differs(errs[0], d.m.say(&x)); err != nil {
		return fmt.Errorf("Extend(%v) with seq %d: %w", x.Token, x.Seq, err)
	}
	return nil
}
