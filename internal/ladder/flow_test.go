package ladder

import (
	"cmp"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// A mhalt is what a queue counts for its rule.
type mhalt struct {
	last   string // of the last endings, a letter each: f for failed
	halted bool
	until  int64
	probe  uint64
}

// ended counts an ending of a task of queue.
func (m *model) ended(queue string, lease uint64, failed bool) {
	q := m.queues[queue]
	rule, _ := glassq.ParseHalt(q.set.Halt)
	h := &q.halt
	switch {
	case rule.Of == 0, h.halted && lease != h.probe:
		return
	case h.halted && !failed:
		*h = mhalt{}
	case h.halted:
		m.probeLater(&q)
	default:
		h.last += map[bool]string{true: "f", false: "k"}[failed]
		h.last = h.last[max(0, len(h.last)-rule.Of):]
		bad := strings.Count(h.last, "f")
		if len(h.last) == rule.Of && float64(bad)*100 > rule.Percent*float64(rule.Of) {
			h.halted = true
			m.probeLater(&q)
		}
	}
	m.queues[queue] = q
}

func (m *model) probeLater(q *mqueue) {
	q.halt.probe, q.halt.until = 0, 0
	if q.set.HaltResume > 0 {
		q.halt.until = m.now + int64(q.set.HaltResume*1000)
	}
}

// probeBack notes that a lease of queue came back without an ending.
func (m *model) probeBack(queue string, lease uint64) {
	if q := m.queues[queue]; q.halt.halted && q.halt.probe == lease {
		q.halt.probe = 0
		m.queues[queue] = q
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
