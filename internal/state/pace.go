package state

import (
	"math"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/stages"
)

// A Pace releases tasks on a schedule: the k-th is due when the integral of the rate over the time
// since the schedule began has reached k. Nothing is released before it is due. When nobody asked
// for longer than the slack, the schedule goes on from now instead of catching up in a burst: the
// moments between are given up. Lateness is measured from the schedule that was asked, as if none
// had been.
//
// It changes with the records of its queue alone, so that a restart knows where the schedule was.
// Times are nanoseconds of the owner's clock, which never goes back and of which zero may lie
// anywhere.
type Pace struct {
	sched Schedule
	next  float64 // tasks of the schedule before the next one to be released
	asked float64 // the same, had nothing been given up; at most next
}

// A GivenUp is a stretch of a schedule that nobody asked for in time. The zero value is none.
type GivenUp struct {
	Count uint64  // tasks that were there, and were due in it
	next  float64 // where the schedule goes on; 0 for none
}

// Any tells whether the schedule goes on from elsewhere.
func (g GivenUp) Any() bool { return g.next > 0 }

// A Schedule is a rate over time: flat, or stages one after the other. After the last stage its
// rate goes on. The zero value is no limit.
type Schedule struct {
	Rate   float64        // per second; 0 means no limit, unless there are stages
	Stages []stages.Stage // instead of Rate
	Start  int64          // ns, when the first stage begins; a flat rate begins when it is set
	Slack  time.Duration  // schedule that may be caught up with; at least MinSlack
}

// schedule is what the settings of a queue say.
func schedule(set glassq.Settings) Schedule {
	parts, _ := stages.Parse(set.Stages) // a Broker has let them in
	return Schedule{Rate: set.Rate, Stages: parts, Start: set.StagesAt * int64(time.Millisecond),
		Slack: time.Duration(set.Catchup * float64(time.Second))}
}

// MinSlack is how far behind its schedule a Pace may always be and still keep to it: workers ask in
// batches, and a busy machine lets them wait.
const MinSlack = 100 * time.Millisecond

// longest is the wait for a task that is not due in sight.
const longest = time.Hour

// Set makes the pace follow s from now on. The same schedule again changes nothing.
func (p *Pace) Set(s Schedule, now int64) {
	s.Slack = max(s.Slack, MinSlack)
	if len(s.Stages) == 0 {
		s.Start = p.sched.Start // any will do, but sums of a near one are exact
	}
	if p.sched.equal(s) {
		return
	}
	if len(s.Stages) == 0 {
		s.Start = now
	}
	*p = Pace{sched: s}
	p.next = s.released(now)
	p.asked = p.next
}

// Wake says that there was nothing to release before now, so that nobody is to blame for what was
// not.
func (p *Pace) Wake(now int64) {
	if !p.Limited() {
		return
	}
	if at, behind := p.behind(now); behind {
		p.next = at
	}
	p.asked = p.next
}

// behind tells whether the schedule lags by more than may be caught up with, and how much is
// released by now.
func (p *Pace) behind(now int64) (at float64, behind bool) {
	at = p.sched.released(now)
	return at, at-p.next > max(at-p.sched.released(now-int64(p.sched.Slack)), 1)
}

func (s *Schedule) equal(o Schedule) bool {
	return s.Rate == o.Rate && s.Start == o.Start && s.Slack == o.Slack && slices.Equal(s.Stages, o.Stages)
}

// Limited tells whether there is a rate at all.
func (p *Pace) Limited() bool { return p.sched.Rate > 0 || len(p.sched.Stages) > 0 }

// Now is the rate per second at a moment; 0 without a limit, and where a stage says 0.
func (p *Pace) Now(now int64) float64 {
	if len(p.sched.Stages) == 0 {
		return p.sched.Rate
	}
	t := float64(now - p.sched.Start)
	for _, g := range p.sched.Stages {
		if d := float64(g.For); t < d {
			return g.From + (g.To-g.From)*max(t, 0)/d
		}
		t -= float64(g.For)
	}
	return p.sched.last()
}

// Ask decides how many of up to most tasks may go now, of ready that wait, and what of the schedule
// is to be given up before. With none, wait is how long until the next is due, at most an hour. It
// changes nothing: GiveUp and Release do.
func (p *Pace) Ask(now int64, most int, ready int64) (n int, up GivenUp, wait time.Duration) {
	if !p.Limited() {
		return most, up, 0
	}
	at, behind := p.behind(now)
	next := p.next
	if behind {
		up = GivenUp{Count: uint64(min(math.Floor(at-next), float64(ready-1))), next: at}
		next = at
	}
	// A due moment is found again from its number only to a few parts in 2^53.
	if next > at+at*1e-12 {
		ns := p.sched.due(next) - float64(now-p.sched.Start)
		return 0, up, time.Duration(min(max(ns, 0), float64(longest))) + 1
	}
	return int(min(float64(most), math.Floor(at-next)+1)), up, 0
}

// GiveUp has the schedule go on behind what Ask found to be given up.
func (p *Pace) GiveUp(up GivenUp) { p.next = max(p.next, up.next) }

// Release counts one task that went.
func (p *Pace) Release() {
	p.next++
	p.asked++
}

// Late is how long after its due moment in the schedule that was asked the next task goes at now.
func (p *Pace) Late(now int64) time.Duration {
	if !p.Limited() {
		return 0
	}
	return time.Duration(max(0, float64(now-p.sched.Start)-p.sched.due(p.asked)))
}

// A paceImage is where a Pace stands.
type paceImage struct {
	Start       int64
	Next, Asked float64
}

func (p *Pace) image() paceImage {
	if !p.Limited() {
		return paceImage{}
	}
	return paceImage{p.sched.Start, p.next, p.asked}
}

// restore puts the pace where an image says, of the same schedule.
func (p *Pace) restore(im paceImage) {
	if im != (paceImage{}) {
		p.sched.Start, p.next, p.asked = im.Start, im.Next, im.Asked
	}
}

func (s *Schedule) last() float64 { return s.Stages[len(s.Stages)-1].To }

// released is how many tasks are due before a moment: the integral of the rate since Start.
func (s *Schedule) released(now int64) float64 {
	t := float64(now - s.Start)
	if t <= 0 {
		return 0
	}
	if len(s.Stages) == 0 {
		return s.Rate * t / 1e9
	}
	sum := 0.0
	for _, g := range s.Stages {
		d := float64(g.For)
		if t < d {
			return sum + (g.From+(g.To-g.From)*t/d/2)*t/1e9
		}
		sum += (g.From + g.To) / 2 * d / 1e9
		t -= d
	}
	return sum + s.last()*t/1e9
}

// due is when, in ns since Start, task k from 0 is due: the inverse of released. It is infinite for
// a task that never is.
func (s *Schedule) due(k float64) float64 {
	if len(s.Stages) == 0 {
		return k / s.Rate * 1e9
	}
	before := 0.0
	for _, g := range s.Stages {
		d := g.For.Seconds()
		all := (g.From + g.To) / 2 * d
		if k < all {
			// k = From·t + slope·t²/2, solved for t without a difference of nearly equal numbers.
			slope := (g.To - g.From) / d
			root := math.Sqrt(max(0, g.From*g.From+2*slope*k))
			if g.From+root == 0 {
				return before // the very first of a ramp from 0
			}
			return before + 2*k/(g.From+root)*1e9
		}
		k -= all
		before += float64(g.For)
	}
	if s.last() == 0 {
		if k == 0 {
			return before
		}
		return math.Inf(1)
	}
	return before + k/s.last()*1e9
}
