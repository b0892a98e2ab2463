package ladder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal/waltest"
)

// A point is a moment of a life at which it may crash: an image of the disk, and the states of
// which one must be there afterwards.
type point struct {
	call   int // of the file system, from 1
	image  *waltest.Image
	at     int64 // ms
	power  cands // after a power cut
	kill   cands // after the death of the process
	floor  uint64
	prefix string // of the bodies to come
}

// cands are the states that a recovery may come to, where a store was open until a moment, in ms, with what
// they show at another one.
type cands struct {
	models []*model
	until  int64
	seen   *seen
}

type seen struct {
	now    int64
	models []*model // as they may be now
	views  []string
}

func candsOf(ms ...*model) cands { return cands{models: ms, seen: &seen{}} }

// matches are the states that show got, the newest first.
func (c cands) matches(got string, now int64) (out []*model) {
	if c.seen.views == nil || c.seen.now != now {
		*c.seen = seen{now: now}
		for _, m := range c.models {
			if m.now > now { // as it was after a sleep that has only begun
				continue
			}
			for _, m := range slices.Backward(m.endings(c.until, now)) {
				c.seen.models = append(c.seen.models, m)
				c.seen.views = append(c.seen.views, m.view())
			}
		}
	}
	for i, v := range slices.Backward(c.seen.views) {
		if v == got {
			out = append(out, c.seen.models[i].clone())
		}
	}
	return out
}

// A play is one life of a store on a disk, from its start to a crash.
type play struct {
	fs    *waltest.FS
	opt   disk.Options
	from  cands // of which one must be there
	cut   cands // of which one must be there if the power fails before Open returns
	floor uint64
	steps []string
	rng   chooser
	pre   string

	keep   func(call int) bool // which calls become points; nil for none
	before int                 // calls of the life that are not of fs, less those of fs that are not of the life
	settle bool                // what goes on in the background ends before the next step

	// The journal: how far the caller has been answered when a call is made.
	mu     sync.Mutex
	opened bool
	begun  int
	sure   [3]int // by duty: so many steps must survive
	high   uint64
	marks  []mark
	models []*model
	e      *disk.Engine
	d      *driver
	shown  string // what the model showed after the last step
}

type mark struct {
	point
	opened      bool
	power, kill int // steps that must be there
	most        int // and that may be
}

// run plays, in a bubble of synctest. The error says which promise was broken. The engine is left
// open.
func (p *play) run(ctx context.Context) ([]point, error) {
	p.before = -p.fs.Calls()
	p.listen(p.fs)
	defer func() { p.fs.OnCall(nil) }()
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	for i, name := range p.steps {
		if err := p.take(ctx, name); err != nil {
			return nil, fmt.Errorf("step %d, %s: %w", i, name, err)
		}
	}
	return p.points(), nil
}

// listen goes on with files, and marks points at their calls.
func (p *play) listen(files *waltest.FS) {
	p.fs.OnCall(nil)
	before := p.before + p.fs.Calls() - files.Calls()
	if p.keep != nil {
		files.OnCall(func(n int) {
			if n += before; p.keep(n) {
				p.mark(n)
			}
		})
	}
	p.fs, p.before = files, before
}

// begin opens the store and finds out which of the states that may be there is.
func (p *play) begin(ctx context.Context) error {
	if err := p.open(); err != nil {
		return err
	}
	if slices.ContainsFunc(p.from.models, func(m *model) bool { return len(m.schedules) > 0 }) {
		synctest.Wait() // what is due is put
	}
	now := time.Now().UnixMilli()
	got, err := observe(ctx, p.e, now)
	if err != nil {
		return err
	}
	same := p.from.matches(got, now)
	if len(same) == 0 {
		return p.mismatch(got)
	}
	m, err := p.told(ctx, same, now)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.opened = true
	p.models = []*model{m.clone()}
	p.mu.Unlock()

	p.d = &driver{s: p.e, m: m, rng: p.rng, prefix: p.pre, floor: p.floor}
	if len(m.runs) > 0 { // no run of before goes on
		for name := range m.runs { // some may be forgotten, so that their number says nothing
			if n, err := strconv.Atoi(strings.TrimPrefix(name, "run")); err == nil {
				p.d.runNo = max(p.d.runNo, n+1)
			}
		}
	}
	p.shown = m.view()
	return nil
}

// told finds among states that show the same the newest whose leases are live. A task that was
// given back and handed out again within a millisecond looks as before, and has another lease
// number.
func (p *play) told(ctx context.Context, same []*model, now int64) (*model, error) {
	for _, m := range same {
		live := true
		for i := range m.tasks {
			t := &m.tasks[i]
			everywhere := !slices.ContainsFunc(same, func(m *model) bool { return m.leased(t.token()) == nil })
			if t.state != glassq.Leased || everywhere {
				continue
			}
			left := time.Duration(t.at-now) * time.Millisecond // so it changes nothing
			errs, err := p.e.Extend(ctx, []glassq.Extend{{Token: t.token(), Lease: left}})
			if err != nil {
				return nil, fmt.Errorf("Extend(%v) = %w", t.token(), err)
			}
			if live = errs[0] == nil; !live {
				break
			}
		}
		if live {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%d states show what is there, and none has its leases", len(same))
}

// take takes one step more, and notes in the journal what is sure by then.
func (p *play) take(ctx context.Context, name string) error {
	p.mu.Lock()
	p.begun++
	p.mu.Unlock()
	if err := p.step(ctx, name); err != nil {
		return err
	}
	if p.settle {
		synctest.Wait()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.models = append(p.models, p.d.m.clone())
	must := duties[name]
	if p.d.firm {
		must, p.d.firm = durable, false
	}
	after := p.d.m.view()
	changed := after != p.shown || restful[name]
	p.shown = after
	for want := range p.sure {
		if changed && must >= p.worth(name, duty(want)) {
			p.sure[want] = p.begun
		}
	}
	p.high = p.d.m.high
	return nil
}

// worth is what duty the step must have so that it and all before it survive what want stands for.
func (p *play) worth(name string, want duty) duty {
	if want == durable && p.opt.Sync != "" && name != "restart" && name != "archive" {
		return durable + 1 // the mode promises nothing
	}
	return want
}

func (p *play) step(ctx context.Context, name string) error {
	switch name {
	case "restart":
	case "archive":
		return p.archive(ctx)
	default:
		return p.d.step(ctx, name)
	}
	p.d.m.advance(p.d.now())
	if err := p.e.Close(); err != nil {
		return fmt.Errorf("Close = %w", err)
	}
	if err := p.open(); err != nil {
		return err
	}
	p.d.s = p.e
	return p.same(ctx)
}

func (p *play) open() error {
	opt := p.opt
	opt.FS = p.fs
	e, err := disk.Open("", opt)
	if err != nil {
		return fmt.Errorf("Open = %w", err)
	}
	p.e = e
	return nil
}

// same checks that the store shows what the model does.
func (p *play) same(ctx context.Context) error {
	now := p.d.now()
	p.d.m.advance(now)
	got, err := observe(ctx, p.e, now)
	if err != nil {
		return err
	}
	if want := p.d.m.view(); got != want {
		return fmt.Errorf("the store shows another state than the model:\n%s", diff(got, want))
	}
	return nil
}

// drain lets everything come to an end: schedules are forgotten, runs that wait for others cancelled, all that is there is handed out
// once more, acked, and stays gone.
func (p *play) drain(ctx context.Context) error {
	if err := p.d.unschedule(ctx, slices.Sorted(maps.Keys(p.d.m.schedules))...); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	for _, name := range p.d.m.runsThat(func(r mrun) bool { return r.waits }) { // for what may never end
		if err := p.d.cancel(ctx, name); err != nil {
			return fmt.Errorf("drain: %w", err)
		}
	}
	for range 40 {
		for _, queue := range queues[:2] { // acks of before may have halted it again
			if err := p.d.free(ctx, queue); err != nil {
				return err
			}
		}
		for _, q := range append(slices.Clip(queues), "next") {
			p.d.m.advance(time.Now().UnixMilli())
			if err := p.d.reserve(ctx, q, 100, false); err != nil {
				return fmt.Errorf("drain: %w", err)
			}
		}
		for _, name := range []string{"allack", "again", "stale", "expire"} {
			if err := p.d.step(ctx, name); err != nil {
				return fmt.Errorf("drain, %s: %w", name, err)
			}
		}
		if p.d.m.idle() {
			return p.same(ctx)
		}
	}
	return errors.New("drain: it does not come to an end")
}

// idle tells whether nothing but dead tasks is left.
func (m *model) idle() bool {
	for i := range m.tasks {
		if m.tasks[i].state != allStates[3] {
			return false
		}
	}
	return true
}

// stop ends the life: nothing more reaches the disk.
func (p *play) stop() {
	if p.e != nil {
		p.fs.CrashAfter(0)
		p.e.Close()
	}
}

// mark notes a point. The journal is read before the image is taken and after it, so that the image
// holds at least what was answered by the one and at most what was begun by the other.
func (p *play) mark(call int) {
	p.mu.Lock()
	m := mark{opened: p.opened, power: p.sure[durable], kill: p.sure[written]}
	m.call, m.at, m.floor, m.prefix = call, time.Now().UnixMilli(), max(p.floor, p.high), p.pre
	p.mu.Unlock()
	m.image = p.fs.Image()
	p.mu.Lock()
	m.most = p.begun
	p.marks = append(p.marks, m)
	p.mu.Unlock()
}

func (p *play) points() []point {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]point, len(p.marks))
	for i, m := range p.marks {
		out[i] = m.point
		switch {
		case !m.opened && p.from.models != nil:
			// Nothing was answered in this life yet.
			out[i].power, out[i].kill = p.cut, p.from
		default:
			most := min(m.most, len(p.models)-1)
			out[i].power = candsOf(p.models[m.power : most+1]...)
			out[i].kill = candsOf(p.models[m.kill : most+1]...)
			out[i].power.until, out[i].kill.until = m.at, m.at
		}
	}
	return out
}

func (p *play) mismatch(got string) error {
	best := ""
	for _, m := range p.from.seen.models {
		if d := diff(got, m.view()); best == "" || len(d) < len(best) {
			best = d
		}
	}
	return fmt.Errorf("what is there after the crash is none of the %d states that may be; the nearest differs:\n%s",
		len(p.from.models), best)
}

// diff lists the lines that only one of the two has.
func diff(got, want string) string {
	count := map[string]int{}
	for l := range strings.Lines(want) {
		count[l]++
	}
	var b strings.Builder
	for l := range strings.Lines(got) {
		if count[l]--; count[l] < 0 {
			b.WriteString("  got  " + l)
		}
	}
	for l := range strings.Lines(want) {
		if count[l] > 0 {
			count[l] = 0
			b.WriteString("  want " + l)
		}
	}
	return b.String()
}
