package state

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/glassq/glassq"
)

// The end of a run that something waits for, a hook or another run, is a record: the books come to
// an end in whatever record settles the last task, or by a ttl, and the run is owed its end from
// then on. The owner writes the end in the same frame, and the hook's put behind it. A run that
// nothing waits for ends by itself.

// hookBody is how many bytes are reserved for the body of a hook, which is a glassq.RunEnd: three
// names, two moments and some numbers.
const hookBody = 1 << 10

// A hook is a task that is put when its run ends.
type hook struct {
	text glassq.Hook // as it was asked for
	put  []byte      // its put record, without id and body; nil for no hook
}

// Kinds of a hook.
const (
	hookEnd    byte = iota // put at each end
	hookFailed             // put instead where tasks failed or are dead
)

// A Hooked is a hook as it is to be set; Task is what its Text says.
type Hooked struct {
	Text glassq.Hook
	Task glassq.Task
}

// A hookPlace is room that hooks have in a queue.
type hookPlace struct{ tasks, bytes int64 }

// queue is where the hook's task will go, and what it takes there at most.
func (h *hook) queue() (name string, p hookPlace) {
	d, err := decodePut(h.put)
	if err != nil {
		return "", p
	}
	r := reader{b: d.class}
	return r.str(), hookPlace{1, int64(len(d.rest)) + hookBody}
}

// run is the run that the hook's task joins, or "".
func (h *hook) run() string {
	d, err := decodePut(h.put)
	if err != nil {
		return ""
	}
	r := reader{b: d.class}
	r.str()
	return r.str()
}

// appendHook appends that a run has a hook from now on.
func appendHook(dst []byte, run string, kind byte, h *Hooked) []byte {
	dst = append(appendString(append(dst, byte(opHook)), run), kind)
	dst = appendString(dst, string(h.Text))
	put := AppendPut(nil, &h.Task)
	return appendString(dst, string(put))
}

func (s *State) applyHook(r *reader) {
	name, kind := r.str(), r.most(hookFailed)
	h := hook{text: glassq.Hook(r.str()), put: slices.Clone(r.bytes(r.uvarint()))}
	if r.isPut(h.put); r.bad || r.newer {
		return
	}
	run := s.run(name)
	s.unreserve(run)
	run.hooks[kind] = h
	s.reserve(run)
}

// hooked tells whether the run has a hook.
func (r *Run) hooked() bool { return r.hooks[hookEnd].put != nil || r.hooks[hookFailed].put != nil }

// watched tells whether something waits for the end of the run, so that it is a record.
func (s *State) watched(r *Run) bool {
	return r.hooked() || len(r.followers) > 0 || r.retryOf != "" && len(s.firstOf(r).followers) > 0
}

// reserve takes the places for the hooks of a run, of which each end uses one at most.
func (s *State) reserve(r *Run) {
	if r.ended != 0 || r.reserves || !r.hooked() {
		return
	}
	r.reserves = true
	s.count(r, 1)
}

func (s *State) unreserve(r *Run) {
	if r.reserves {
		r.reserves = false
		s.count(r, -1)
	}
}

// count adds the places of a run's hooks to those reserved, or takes them off.
func (s *State) count(r *Run, times int64) {
	for i := range r.hooks {
		h := &r.hooks[i]
		if h.put == nil {
			continue
		}
		name, p := h.queue()
		if s.places == nil {
			s.places = map[string]hookPlace{}
		}
		have := s.places[name]
		have = hookPlace{have.tasks + times*p.tasks, have.bytes + times*p.bytes}
		if s.places[name] = have; have == (hookPlace{}) {
			delete(s.places, name)
		}
		if q := s.queues[name]; q != nil && times < 0 {
			s.hooks.Lowered(q)
		}
	}
}

// reopened notes that a run has something to do again, after it may have come to its end.
func (s *State) reopened(r *Run) {
	s.disown(r)
	if r.ended != 0 {
		r.ended = 0
		s.reserve(r)
	}
}

// checkHooks decides whether hooks, nil for none, may be set.
func (s *State) checkHooks(name string, hooks *[2]*Hooked) error {
	r := s.runs[name]
	for kind, h := range hooks {
		if h == nil || r != nil && r.hooks[kind].text == h.Text {
			continue
		}
		if r != nil && r.ended != 0 {
			return glassq.Errorf(glassq.CodeRunConflict,
				"run %s has ended already, so that a hook would wait for nothing; set hooks before the last task is done", name)
		}
		if h.Task.Run != "" && s.leadsTo(h.Task.Run, name, 0) {
			return glassq.Errorf(glassq.CodeRunConflict,
				"a hook of run %s would put a task into run %s, whose end leads back to it: the two would never end; leave the run of the hook out", name, h.Task.Run)
		}
		task := h.Task
		task.Body = make([]byte, hookBody)
		if _, err := s.RoomFor([]glassq.Task{task}); err != nil {
			return glassq.Errorf(glassq.CodeOf(err), "a hook of run %s needs a place that is reserved: %w", name, err)
		}
	}
	return nil
}

// leadsTo tells whether the hooks of a run put, over others, into another one. Chains are short: a
// longer one than hookChain counts as one that does.
func (s *State) leadsTo(from, to string, depth int) bool {
	if from == to || depth > hookChain {
		return true
	}
	r := s.runs[from]
	if r == nil {
		return false
	}
	for i := range r.hooks {
		if next := r.hooks[i].run(); next != "" && s.leadsTo(next, to, depth+1) {
			return true
		}
	}
	return false
}

// hookChain is how many runs may be in one chain of hooks.
const hookChain = 10

// checkAfter decides whether a run may wait for another one.
func (s *State) checkAfter(name, after string, any bool) error {
	first := s.runs[after]
	if after == name {
		return glassq.Errorf(glassq.CodeRunConflict, "run %s cannot come after itself", name)
	}
	if first == nil {
		return glassq.Errorf(glassq.CodeNotFound, "there is no run %s to come after; make it first", after)
	}
	if r := s.runs[name]; r != nil {
		switch {
		case r.after == after && r.afterAny == any:
			return nil
		case r.after != "":
			return glassq.Errorf(glassq.CodeRunConflict, "run %s comes after run %s already; use another run name", name, r.after)
		case r.books.Put > 0 || r.sealed:
			return glassq.Errorf(glassq.CodeRunConflict,
				"run %s has tasks already and cannot wait for run %s; say so before the first put, or use another run name", name, after)
		}
	}
	for on := first; on != nil && on.after != ""; on = s.runs[on.after] {
		if on.after == name {
			return glassq.Errorf(glassq.CodeRunConflict, "run %s comes after run %s, which comes after it: neither would begin", name, after)
		}
	}
	return nil
}

// follow has r wait for the run that it comes after, unless that has ended as it should.
func (s *State) follow(r *Run, after string, any bool) {
	r.after, r.afterAny = after, any
	if first := s.runs[after]; first != nil && first != r && !s.lets(first, any) {
		r.waits = true
		first.followers = byAge(first.followers, r)
	}
}

// byAge puts r into a list that has the oldest run first.
func byAge(list []*Run, r *Run) []*Run {
	i, _ := slices.BinarySearchFunc(list, r, func(a, b *Run) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.name, b.name))
	})
	return slices.Insert(list, i, r)
}

// noteHeld notes that tasks of a run that waits for another one are in a queue. Of several queues it is
// the first that is known: that of the run, else that of a put.
func (s *State) noteHeld(r *Run, queue string) {
	if !r.waits || queue == "" || r.heldIn != "" {
		return
	}
	if s.heldRuns == nil {
		s.heldRuns = map[string][]*Run{}
	}
	r.heldIn = queue
	s.heldRuns[queue] = byAge(s.heldRuns[queue], r)
}

const (
	heldShown = 3
	heldSeen  = 100 // of which it is looked whether tasks of them wait
)

// HeldRuns names some runs of a queue whose tasks wait for another run, and says about how many there
// are beside them.
func (s *State) HeldRuns(q *Queue) (names []string, more int) {
	held := s.heldRuns[q.Name]
	for _, r := range held[:min(len(held), heldSeen)] {
		switch {
		case r.books.Pending() == 0:
		case len(names) < heldShown:
			names = append(names, r.name)
		default:
			more++
		}
	}
	return names, more + max(0, len(held)-heldSeen)
}

// lets tells whether a run has ended so that those after it begin.
func (s *State) lets(r *Run, any bool) bool {
	if !r.complete() {
		return false
	}
	if any || r.books.Failed+r.books.Dead.Sum() == 0 {
		return true
	}
	j := s.job(r)
	return j != nil && j.Pending+j.Failed+j.Dead == 0
}

// unfollow has r wait no more.
func (s *State) unfollow(r *Run) {
	if !r.waits {
		return
	}
	r.waits = false
	if held := s.heldRuns[r.heldIn]; len(held) > 1 {
		s.heldRuns[r.heldIn] = slices.DeleteFunc(held, func(x *Run) bool { return x == r })
	} else {
		delete(s.heldRuns, r.heldIn)
	}
	r.heldIn = ""
	if first := s.runs[r.after]; first != nil {
		first.followers = slices.DeleteFunc(first.followers, func(x *Run) bool { return x == r })
	}
}

// begin makes the tasks of a run ready that wait for nothing but another run, and begins it.
func (s *State) begin(r *Run) {
	s.unfollow(r)
	s.begins(r)
	s.pick(func(e *entry) bool {
		return e.state() == glassq.Delayed && e.has(flagHeld) && s.booked(e) == r
	}, func(n uint64, e *entry) bool {
		e.w0 &^= flagHeld
		s.back(n, e, 0)
		return true
	})
	s.settled(r)
	s.hooks.RunChanged()
}

// keepBack keeps a task that is in no count delayed until its run may begin, and tells whether it is
// to wait.
func (s *State) keepBack(e *entry) bool {
	run := s.booked(e)
	if run == nil || !run.waits {
		return false
	}
	e.setState(glassq.Delayed)
	e.w0 |= flagHeld
	s.class[e.class].queue.count[glassq.Delayed]++
	return true
}

// owe notes that a run has come to its end, which is to be written.
func (s *State) owe(r *Run) {
	if !r.owed {
		r.owed = true
		s.owing = append(s.owing, r)
	}
}

// disown notes that a run is not owed its end any more.
func (s *State) disown(r *Run) {
	if r.owed {
		r.owed = false
		s.owing = slices.DeleteFunc(s.owing, func(x *Run) bool { return x == r })
	}
}

// DecideEnd is the end of a run that is to be written now: its record, and the task of its hook, nil
// for none, whose put goes into the same frame. ok is false where no run has come to its end.
func (s *State) DecideEnd() (end []byte, put *glassq.Task, ok bool) {
	if len(s.owing) == 0 {
		return nil, nil, false
	}
	r := s.owing[0]
	end = appendRunEnd(nil, r.name, r.ends+1)
	failed := r.books.Failed+r.books.Dead.Sum() > 0
	h := &r.hooks[hookEnd]
	if failed && r.hooks[hookFailed].put != nil {
		h = &r.hooks[hookFailed]
	}
	if h.put == nil {
		return end, nil, true
	}
	body, err := json.Marshal(glassq.RunEnd{Run: r.name, End: r.ends + 1, OK: !failed, Books: r.books, Total: r.total,
		Results: r.ResultsQueue(), RetryOf: r.retryOf, Created: time.UnixMilli(r.created).UTC(),
		Ended: time.UnixMilli(s.now).UTC()})
	if err != nil {
		panic("state: " + err.Error()) // numbers and names
	}
	var d Decoder
	put = new(glassq.Task)
	if _, err := d.Task(put, h.put); err != nil {
		panic("state: " + err.Error()) // it was decoded when it was set
	}
	put.ID, put.Body = EndID(r.name, r.ends+1), body
	return end, put, true
}

// EndID is the id of the hook's task of the k-th end of a run.
func EndID(run string, k uint64) string { return run + "/end." + strconv.FormatUint(k, 10) }

// appendRunEnd appends the k-th end of a run.
func appendRunEnd(dst []byte, run string, k uint64) []byte {
	return binary.AppendUvarint(appendString(append(dst, byte(opRunEnd)), run), k)
}

func (s *State) applyRunEnd(name string, k uint64) error {
	r := s.runs[name]
	if r == nil || r.ended != 0 || !r.over() || k != r.ends+1 {
		return recordErr("end of run " + name + ", which has not come to it")
	}
	r.ends, r.ended = k, s.now
	s.unreserve(r)
	s.disown(r)
	for _, on := range []*Run{r, s.firstOf(r)} {
		for _, f := range slices.Clone(on.followers) {
			if s.lets(on, f.afterAny) {
				s.begin(f)
			}
		}
	}
	s.hooks.RunChanged()
	return nil
}

// record is the hook as a snapshot holds it.
func (h *hook) record() hookRecord { return hookRecord{string(h.text), h.put} }

// hook is the hook of a snapshot.
func (d *decoder) hook(rec hookRecord) hook {
	if r := (reader{}); len(rec.Put) > 0 {
		r.isPut(rec.Put)
		d.err = cmp.Or(d.err, r.err("snapshot: hook"))
	}
	return hook{glassq.Hook(rec.Text), rec.Put}
}

// restoreWaits makes anew what follows from the runs of a snapshot.
func (s *State) restoreWaits() {
	for _, name := range slices.Sorted(maps.Keys(s.runs)) {
		r := s.runs[name]
		if first := s.runs[r.after]; r.waits && first != nil {
			first.followers = byAge(first.followers, r)
		}
		if r.hooked() {
			s.reserve(r)
		}
		if r.ended == 0 && r.over() {
			s.owe(r)
		}
	}
}
