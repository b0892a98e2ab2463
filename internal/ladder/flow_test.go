package ladder

import (
	"cmp"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// A mhalt is what a queue, or a key of it, counts for its rule.
type mhalt struct {
	last   string // of the last endings, a letter each: f for failed
	halted bool
	until  int64
	probe  uint64
}

// haltOf is what counts for a task, and put keeps what became of it; nil for a task that nothing counts.
func (m *model) haltOf(t *mtask) (h *mhalt, put func()) {
	q := m.queues[t.Queue]
	if !q.set.HaltsKeys() {
		return &q.halt, func() { m.queues[t.Queue] = q }
	}
	if t.Key == "" {
		return nil, nil
	}
	at := [2]string{t.Queue, t.Key}
	k := m.keys[at]
	return &k.halt, func() { m.keys[at] = k }
}

// ended counts an ending of a task.
func (m *model) ended(t *mtask, lease uint64, failed bool) {
	set := m.queues[t.Queue].set
	rule, _ := glassq.ParseHalt(set.Halt)
	h, put := m.haltOf(t)
	switch {
	case h == nil:
		return
	case rule.Of == 0, h.halted && lease != h.probe:
		return
	case h.halted && !failed:
		*h = mhalt{}
	case h.halted:
		h.later(m.now, &set)
	default:
		h.last += map[bool]string{true: "f", false: "k"}[failed]
		h.last = h.last[max(0, len(h.last)-rule.Of):]
		bad := strings.Count(h.last, "f")
		if len(h.last) == rule.Of && float64(bad)*100 > rule.Percent*float64(rule.Of) {
			h.halted = true
			h.later(m.now, &set)
		}
	}
	put()
}

// later sets when the next probe goes out.
func (h *mhalt) later(now int64, set *glassq.Settings) {
	h.probe, h.until = 0, 0
	if set.HaltResume > 0 {
		h.until = now + int64(set.HaltResume*1000)
	}
}

// stops tells whether nothing may be handed out.
func (h *mhalt) stops(now int64) bool {
	return h.halted && (h.until == 0 || now < h.until || h.probe != 0)
}

// probed notes the lease of a task that was handed out, and probeBack that it came back without an ending.
func (m *model) probed(t *mtask, lease uint64) {
	if h, put := m.haltOf(t); h != nil && h.halted {
		h.probe = lease
		put()
	}
}

func (m *model) probeBack(t *mtask) {
	if h, put := m.haltOf(t); h != nil && h.halted && h.probe == t.lease {
		h.probe = 0
		put()
	}
}

// changeHalts notes that the settings of a queue changed, by c.
func (m *model) changeHalts(queue string, was glassq.Settings, c *glassq.SettingsChange) {
	q := m.queues[queue]
	anew := q.set.Halt != was.Halt || q.set.HaltsKeys() != was.HaltsKeys()
	change := func(h *mhalt) {
		switch {
		case anew, h.halted && c.Paused != nil && !*c.Paused:
			*h = mhalt{}
		case q.set.HaltResume != was.HaltResume && h.halted && h.probe == 0:
			h.later(m.now, &q.set)
		}
	}
	change(&q.halt)
	m.queues[queue] = q
	for at, k := range m.keys {
		if at[0] == queue {
			change(&k.halt)
			m.keys[at] = k
		}
	}
}

// say does what an extend says; it returns the code of the refusal, or nothing.
func (m *model) say(x *glassq.Extend) glassq.Code {
	t := m.leased(x.Token)
	if t == nil {
		return glassq.CodeLeaseLost
	}
	last := uint64(0)
	if t.sayer == x.Token.Number {
		last = t.seq
	}
	switch {
	case x.Seq <= last:
		return ""
	case x.Seq > last+1:
		return glassq.CodeBadRequest
	}
	if code := m.refuses(x.Put); code != "" {
		return code
	}
	p := glassq.Progress{Done: -1}
	if t.said != nil {
		p = *t.said
	}
	before := int64(len(p.Note) + p.Size)
	if x.Progress.Done >= 0 {
		p.Done = x.Progress.Done
	}
	p.Note = cmp.Or(x.Progress.Note, p.Note)
	if x.Progress.Checkpoint != nil {
		p.Checkpoint, p.Size = x.Progress.Checkpoint, len(x.Progress.Checkpoint)
	}
	if more := int64(len(p.Note)+p.Size) - before; more > 0 {
		for i := range x.Put {
			if x.Put[i].Queue == t.Queue {
				more += state.Size(&x.Put[i])
			}
		}
		if most := m.queues[t.Queue].set.MaxBytes; most > 0 && m.bytes(t.Queue)+more > most {
			return glassq.CodeQueueFull
		}
	}
	t.said, t.sayer, t.seq, t.at = &p, x.Token.Number, x.Seq, m.now+x.Lease.Milliseconds()
	of := t.Task
	for _, f := range x.Put {
		if f.Run == "" && of.OfAttempt == 0 {
			f.Run = of.Run
		}
		trace(&f, &of)
		m.put(f)
	}
	return ""
}
