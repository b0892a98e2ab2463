package ladder

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// hookQueue is where hooks put their tasks. Nobody else puts there.
const hookQueue = "hooks"

type mrun struct {
	change                      glassq.RunChange
	books                       glassq.Books
	created, ended              int64
	ends                        uint64 // that were recorded
	waits                       bool   // for the end of change.After
	put, done, failed, dead, ok map[uint32]bool
}

// runName is the name of the run of a number. Their order is that of their numbers.
func runName(n int) string { return fmt.Sprintf("run%03d", n) }

func (m *model) run(name string) mrun {
	r, ok := m.runs[name]
	if !ok {
		r = mrun{created: m.now, put: map[uint32]bool{}, done: map[uint32]bool{}, failed: map[uint32]bool{},
			dead: map[uint32]bool{}, ok: map[uint32]bool{}}
		m.runs[name] = r
	}
	return r
}

// over tells that nothing is left to do, and complete that the end is written too.
func (r mrun) over() bool { return r.change.Sealed && r.books.Pending() == 0 && !r.waits }

func (m *model) complete(name string) bool {
	r, ok := m.runs[name]
	return ok && r.over() && !slices.Contains(m.owing, name)
}

// settle notes that a run may have come to its end. The end of one that something waits for is written.
func (m *model) settle(name string) {
	r, ok := m.runs[name]
	owed := slices.Contains(m.owing, name)
	switch {
	case !ok || owed || r.ended != 0 || !r.over():
	case r.hooked() || len(m.followers(name)) > 0 || r.change.RetryOf != "" && len(m.followers(r.change.RetryOf)) > 0:
		m.owing = append(m.owing, name)
	default:
		r.ended = m.now
		m.runs[name] = r
	}
}

func (m *model) settleOf(t *mtask) {
	if t.OfAttempt == 0 {
		m.settle(t.Run)
	}
}

// reopen notes that a run has something to do again.
func (m *model) reopen(name string) {
	if r, ok := m.runs[name]; ok {
		r.ended = 0
		m.runs[name] = r
	}
	m.owing = slices.DeleteFunc(m.owing, func(x string) bool { return x == name })
}

func (r mrun) hooked() bool { return r.change.OnEnd != "" || r.change.OnFailed != "" }

// taskOf is what a hook asks for.
func taskOf(h glassq.Hook) (t struct {
	Queue, Run string
	Priority   int
}) {
	if h != "" && json.Unmarshal([]byte(h), &t) != nil {
		panic("a hook of the ladder does not parse")
	}
	return t
}

// places are those in a queue that the hooks of runs have.
func (m *model) places(queue string) (n int64) {
	for _, r := range m.runs {
		for _, h := range []glassq.Hook{r.change.OnEnd, r.change.OnFailed} {
			if r.ended == 0 && h != "" && taskOf(h).Queue == queue {
				n++
			}
		}
	}
	return n
}

// followers are the runs that wait for the end of one.
func (m *model) followers(name string) (all []string) {
	return m.runsThat(func(r mrun) bool { return r.waits && r.change.After == name })
}

// retries are the runs that are retries of one.
func (m *model) retries(name string) []string {
	return m.runsThat(func(r mrun) bool { return r.change.RetryOf == name })
}

func (m *model) runsThat(is func(mrun) bool) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(m.runs)) {
		if is(m.runs[name]) {
			all = append(all, name)
		}
	}
	return all
}

// firstOf is the run that another is a retry of, or that one itself.
func (m *model) firstOf(name string) string {
	if of := m.runs[name].change.RetryOf; of != "" {
		return of
	}
	return name
}

// job is a run with its retries as one: of each position the last run that put it counts.
func (m *model) job(name string) *glassq.Job {
	name = m.firstOf(name)
	all := append([]string{name}, m.retries(name)...)
	if len(all) == 1 {
		return nil
	}
	j := &glassq.Job{Runs: all}
	later := map[uint32]bool{}
	for _, name := range slices.Backward(all) {
		r := m.runs[name]
		count := func(b uint64, set map[uint32]bool) uint64 {
			for n := range set {
				if later[n] {
					b--
				}
			}
			return b
		}
		ok := r.ok
		if r.books.Pending() > 0 { // which of them were done without a result nobody remembers
			ok = maps.Clone(ok)
			maps.DeleteFunc(ok, func(n uint32, _ bool) bool { return !r.done[n] })
		}
		j.Put += count(r.books.Put, r.put)
		j.OK += count(r.books.OK, ok)
		j.Failed += count(r.books.Failed, r.failed)
		j.Dead += count(r.books.Dead.Sum(), r.dead)
		maps.Copy(later, r.put)
	}
	j.Pending = j.Put - min(j.Put, j.OK+j.Failed+j.Dead)
	return j
}

// lets tells whether a run has ended so that those after it begin.
func (m *model) lets(name string, any bool) bool {
	r := m.runs[name]
	if !m.complete(name) || any || r.books.Failed+r.books.Dead.Sum() == 0 {
		return m.complete(name)
	}
	j := m.job(name)
	return j != nil && j.Pending+j.Failed+j.Dead == 0
}

// keepBack keeps a ready task delayed whose run waits for another.
func (m *model) keepBack(t *mtask) {
	if t.OfAttempt == 0 && m.runs[t.Run].waits {
		t.state, t.held, t.at = glassq.Delayed, true, 0
	}
}

// begin lets the tasks of a run go that wait for nothing but another run.
func (m *model) begin(name string) {
	r := m.runs[name]
	r.waits = false
	m.runs[name] = r
	for _, x := range slices.Clone(m.tasks) {
		if x.held && x.Run == name {
			t := m.find(x.num)
			t.held = false
			m.back(t, 0)
		}
	}
	m.settle(name)
}

// endRuns writes the ends of runs that have come to them, and puts the tasks of their hooks. It tells whether
// there were any.
func (m *model) endRuns() (some bool) {
	for ; len(m.owing) > 0; some = true {
		name := m.owing[0]
		r := m.runs[name]
		m.owing = m.owing[1:]
		r.ends++
		r.ended = m.now
		m.runs[name] = r
		failed := r.books.Failed+r.books.Dead.Sum() > 0
		hook := r.change.OnEnd
		if failed && r.change.OnFailed != "" {
			hook = r.change.OnFailed
		}
		for _, on := range []string{name, m.firstOf(name)} {
			for _, f := range m.followers(on) {
				if m.lets(on, m.runs[f].change.AfterAny) {
					m.begin(f)
				}
			}
		}
		if hook == "" {
			continue
		}
		end := glassq.RunEnd{Run: name, End: r.ends, OK: !failed, Books: r.books, Total: r.change.Total,
			Results: cmp.Or(r.change.Results, glassq.DefaultResults), RetryOf: r.change.RetryOf,
			Created: time.UnixMilli(r.created).UTC()}
		body, err := json.Marshal(end)
		if err != nil {
			panic(err)
		}
		h := taskOf(hook)
		t := glassq.Task{Queue: h.Queue, Run: h.Run, ID: state.EndID(name, r.ends), Type: glassq.TypeJSON, Body: body}
		if h.Priority > 0 {
			t.Priority = glassq.Level(h.Priority)
		}
		m.put(t)
	}
	return some
}

// timeless is a body without the moment at which a run ended: when that is by a ttl while no store is open, it
// is that of the next start. ended is that moment, zero in a body that is none of a hook.
func timeless(body []byte) (_ []byte, ended time.Time) {
	var end glassq.RunEnd
	if !strings.HasPrefix(string(body), `{"run":"`) || json.Unmarshal(body, &end) != nil {
		return body, ended
	}
	ended, end.Ended = end.Ended, time.Time{}
	body, _ = json.Marshal(end)
	return body, ended
}

// refusesRun is the code by which a change of a run is to be refused, or nothing.
func (m *model) refusesRun(name string, c *glassq.RunChange) glassq.Code {
	r, exists := m.runs[name]
	if c.After != "" {
		_, there := m.runs[c.After]
		switch {
		case c.After == name:
			return glassq.CodeRunConflict
		case !there:
			return glassq.CodeNotFound
		case exists && r.change.After == c.After && r.change.AfterAny == c.AfterAny:
		case exists && (r.change.After != "" || r.books.Put > 0 || r.change.Sealed):
			return glassq.CodeRunConflict
		}
		for on := c.After; on != "" && r.change.After == ""; on = m.runs[on].change.After {
			if on == name {
				return glassq.CodeRunConflict
			}
		}
	}
	if c.RetryOf != "" {
		if _, there := m.runs[c.RetryOf]; !there {
			return glassq.CodeNotFound
		}
		first := m.firstOf(c.RetryOf)
		switch {
		case first == name:
			return glassq.CodeRunConflict
		case !exists || r.change.RetryOf == first:
		case r.change.RetryOf != "" || r.books.Put > 0 || len(m.retries(name)) > 0:
			return glassq.CodeRunConflict
		}
	}
	if c.Sealed && r.change.Sealed && c.Total != r.change.Total {
		return glassq.CodeRunConflict
	}
	for _, h := range [][2]glassq.Hook{{c.OnEnd, r.change.OnEnd}, {c.OnFailed, r.change.OnFailed}} {
		if h[0] == "" || exists && h[0] == h[1] {
			continue
		}
		if t := taskOf(h[0]); r.ended != 0 || t.Run != "" && m.leads(t.Run, name) {
			return glassq.CodeRunConflict
		}
		if most := m.queues[hookQueue].set.MaxTasks; most > 0 && m.held(hookQueue)+m.places(hookQueue)+1 > most {
			return glassq.CodeQueueFull
		}
	}
	return ""
}

// leads tells whether hooks lead from one run to another.
func (m *model) leads(from, to string) bool {
	if from == to {
		return true
	}
	r := m.runs[from].change
	for _, h := range []glassq.Hook{r.OnEnd, r.OnFailed} {
		if next := taskOf(h).Run; next != "" && m.leads(next, to) {
			return true
		}
	}
	return false
}

// setRun changes a run, as SetRun does where it is not refused.
func (m *model) setRun(name string, c glassq.RunChange) {
	r := m.run(name)
	is := &r.change
	is.OnEnd, is.OnFailed = cmp.Or(c.OnEnd, is.OnEnd), cmp.Or(c.OnFailed, is.OnFailed)
	is.Source, is.Queue, is.Results = cmp.Or(c.Source, is.Source), cmp.Or(c.Queue, is.Queue), cmp.Or(c.Results, is.Results)
	if c.After != "" && is.After == "" {
		is.After, is.AfterAny = c.After, c.AfterAny
		r.waits = !m.lets(c.After, c.AfterAny)
	}
	if c.Sealed && !is.Sealed {
		is.Sealed, is.Total = true, c.Total
	}
	if c.RetryOf != "" {
		is.RetryOf = m.firstOf(c.RetryOf)
	}
	m.runs[name] = r
	m.settle(name)
}

func (m *model) cancel(name string) (n int) {
	r := m.run(name)
	r.waits = false
	m.runs[name] = r
	for _, rest := range []bool{true, false} { // what is left of ranges first
		for _, t := range slices.Clone(m.tasks) {
			if t.Run == name && t.OfAttempt == 0 && (t.of > 0 && !t.taken) == rest &&
				(t.state == glassq.Ready || t.state == glassq.Delayed) {
				m.end(m.find(t.num), func(d *glassq.DeadCounts) { d.Cancelled++ })
				n++
			}
		}
	}
	r = m.run(name)
	if !r.change.Sealed {
		r.change.Sealed, r.change.Total = true, r.books.Put
	}
	m.runs[name] = r
	m.settle(name)
	return n
}

// forgetRun forgets a run that is over; it returns the code of the refusal, or nothing.
func (m *model) forgetRun(name string) glassq.Code {
	if !m.complete(name) || len(m.followers(name)) > 0 || len(m.retries(name)) > 0 ||
		slices.ContainsFunc(m.tasks, func(t mtask) bool { return t.Run == name }) {
		return glassq.CodeRunConflict
	}
	delete(m.runs, name)
	return ""
}

// someRun is a run of before, the current one, or the next.
func (d *driver) someRun() string { return runName(d.rng.IntN(d.runNo + 2)) }

// young is the current run, or the next one, which has no tasks yet. No run comes after a later one: those that
// wait for the same run have the order of their names, which a restart makes.
func (d *driver) young() string {
	d.youngest = max(d.youngest, d.runNo+d.rng.IntN(4)/3)
	return runName(d.youngest)
}

// hook has a run put a task at its end, or other ones where it failed.
func (d *driver) hook(ctx context.Context) error {
	text := func() glassq.Hook {
		h := `{"queue":"` + hookQueue + `"`
		if run := d.someRun(); d.one(5) && d.m.runs[run].put != nil { // else when it is made depends on when the end is written
			h += `,"run":"` + run + `"`
		}
		if d.one(3) {
			h += `,"priority":7`
		}
		return glassq.Hook(h + "}")
	}
	var c glassq.RunChange
	what := d.rng.IntN(4)
	if what != 1 {
		c.OnEnd = text()
	}
	if what < 2 {
		c.OnFailed = text()
	}
	return d.setRun(ctx, d.young(), c)
}

// after has a run wait for another one.
func (d *driver) after(ctx context.Context) error {
	return d.setRun(ctx, d.young(), glassq.RunChange{After: d.someRun(), AfterAny: d.one(2)})
}

// retry has a run be a retry of another one.
func (d *driver) retry(ctx context.Context) error {
	return d.setRun(ctx, d.young(), glassq.RunChange{RetryOf: d.someRun(), Hooks: d.one(2)})
}

func (d *driver) setRun(ctx context.Context, name string, c glassq.RunChange) error {
	_, err := d.s.SetRun(ctx, name, c)
	if c.Hooks {
		of := d.m.runs[c.RetryOf].change
		c.OnEnd, c.OnFailed = cmp.Or(c.OnEnd, of.OnEnd), cmp.Or(c.OnFailed, of.OnFailed)
	}
	code := d.m.refusesRun(name, &c)
	if err := differs(err, code); err != nil {
		return fmt.Errorf("SetRun(%s, %+v): %w", name, c, err)
	}
	if code == "" {
		d.m.setRun(name, c)
	}
	return nil
}

func (d *driver) cancel(ctx context.Context, name string) error {
	n, err := d.s.CancelRun(ctx, name)
	want := d.m.cancel(name)
	if d.m.endRuns(); err != nil || n != want {
		return fmt.Errorf("CancelRun(%s) = %d, %v; want %d", name, n, err, want)
	}
	return nil
}

// hookRoom changes how many tasks the queue of the hooks may hold.
func (d *driver) hookRoom(ctx context.Context) error {
	most := int64(d.rng.IntN(4) * 3)
	return d.configure(ctx, hookQueue, glassq.SettingsChange{MaxTasks: &most})
}
