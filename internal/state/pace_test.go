package state

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/glassq/glassq/internal/stages"
)

// asks takes from p for a time, every step, up to most at once.
func asks(p *Pace, now *int64, span, step time.Duration, most int) (got int) {
	for end := *now + int64(span); *now < end; {
		*now += int64(step)
		got += take(p, *now, most)
	}
	return got
}

// take has p release what it can, of a backlog without end.
func take(p *Pace, now int64, most int) int {
	n, up, _ := p.Ask(now, most, 1<<40)
	p.GiveUp(up)
	for range n {
		p.Release()
	}
	return n
}

func TestPace(t *testing.T) {
	ramp := []stages.Stage{{From: 0, To: 1000, For: 10 * time.Second}, {From: 1000, To: 1000, For: 5 * time.Second},
		{From: 1000, To: 200, For: 4 * time.Second}}
	tests := []struct {
		name  string
		s     Schedule
		spans []time.Duration
		want  []int
	}{
		{"flat", Schedule{Rate: 1000}, []time.Duration{time.Second, time.Second}, []int{1000, 1000}},
		{"slow", Schedule{Rate: 2}, []time.Duration{10 * time.Second}, []int{20}},
		{"ramp", Schedule{Stages: ramp}, []time.Duration{5 * time.Second, 5 * time.Second, 5 * time.Second, 4 * time.Second,
			10 * time.Second},
			[]int{1250, 3750, 5000, 2400, 2000}},
		{"to nothing", Schedule{Stages: []stages.Stage{{From: 100, To: 0, For: 10 * time.Second}}},
			[]time.Duration{10 * time.Second, time.Hour}, []int{500, 0}},
		{"step", Schedule{Stages: []stages.Stage{{From: 10, To: 10, For: time.Second},
			{From: 500, To: 500, For: time.Second}}}, []time.Duration{time.Second, time.Second}, []int{10, 500}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const start = 1_800_000_000_000_000_000
			var p Pace
			tt.s.Start = start
			now := int64(start)
			p.Set(tt.s, now)
			for i, span := range tt.spans {
				if got := asks(&p, &now, span, 700*time.Microsecond, 50); got < tt.want[i]-1 || got > tt.want[i]+1 {
					t.Errorf("in the %v up to %v it gave %d, want %d", span, time.Duration(now-start), got, tt.want[i])
				}
			}
		})
	}
}

func TestPaceSlack(t *testing.T) {
	tests := []struct {
		name       string
		slack      time.Duration
		away       time.Duration
		atOnce, in int // at the first ask afterwards, and in the second from there on
	}{
		{"a busy moment is made good", 0, 90 * time.Millisecond, 91, 1091},
		{"no burst", 0, time.Minute, 1, 1000},
		{"catch up", 2 * time.Second, 1500 * time.Millisecond, 1501, 2500},
		{"catch up, no more than that", 2 * time.Second, time.Minute, 1, 1000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p Pace
			now := int64(5)
			p.Set(Schedule{Rate: 1000, Start: now, Slack: tt.slack}, now)
			asks(&p, &now, time.Second, time.Millisecond, 100)
			now += int64(tt.away)
			n := take(&p, now, 1e6)
			if n < tt.atOnce-1 || n > tt.atOnce+1 {
				t.Errorf("after %v away it gave %d at once, want %d", tt.away, n, tt.atOnce)
			}
			if n += asks(&p, &now, time.Second, time.Millisecond, 1e6); n < tt.in-2 || n > tt.in+2 {
				t.Errorf("%d within the next second, want %d", n, tt.in)
			}
		})
	}
}

// The wait that Take names ends at the very next task, and lateness is measured from due moments.
func TestPaceWait(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var s Schedule
		for range 1 + r.IntN(3) {
			s.Stages = append(s.Stages, stages.Stage{From: r.Float64() * 1000, To: 1 + r.Float64()*1000,
				For: time.Duration(1 + r.Int64N(int64(time.Second)))})
		}
		if r.IntN(3) == 0 {
			s = Schedule{Rate: 0.5 + r.Float64()*10_000}
		}
		s.Start = r.Int64N(1 << 60)
		now := s.Start
		var p Pace
		p.Set(s, now)
		for k := range 500 {
			if take(&p, now, 10) > 0 {
				continue
			}
			_, _, wait := p.Ask(now, 10, 1)
			now += int64(wait)
			if late := p.Late(now); late > 10*time.Microsecond {
				t.Fatalf("%+v: task %d, fetched in time, is %v late", s, k, late)
			}
			if n := take(&p, now, 10); n != 1 {
				t.Fatalf("%+v: task %d was not there after its wait: got %d, wait %v", s, k, n, wait)
			}
		}
	}
}

func TestScheduleInverse(t *testing.T) {
	s := Schedule{Stages: []stages.Stage{{From: 0, To: 100, For: time.Second}, {From: 100, To: 0, For: time.Second},
		{From: 0, To: 0, For: time.Second}, {From: 7, To: 3, For: 2 * time.Second}}}
	for k := range 130 {
		at := s.due(float64(k))
		if back := s.released(int64(math.Ceil(at))); math.Abs(back-float64(k)) > 1e-3 {
			t.Errorf("task %d is due at %v, when %v are", k, time.Duration(at), back)
		}
	}
	if at := (&Schedule{Stages: []stages.Stage{{From: 10, To: 0, For: time.Second}}}).due(6); !math.IsInf(at, 1) {
		t.Errorf("the seventh of five tasks is due at %v", at)
	}
}

func TestPaceLate(t *testing.T) {
	var p Pace
	p.Set(Schedule{Rate: 100}, 0)
	now := int64(25 * time.Millisecond)
	n, up, _ := p.Ask(now, 10, 10)
	if n != 3 || up.Any() {
		t.Fatalf("after 25 ms of 100/s it gave %d, want 3; given up %v", n, up)
	}
	for k, want := range []time.Duration{25, 15, 5} {
		if late := p.Late(now); (late - want*time.Millisecond).Abs() > time.Microsecond {
			t.Errorf("task %d is %v late, want %v", k, late, want*time.Millisecond)
		}
		p.Release()
	}
	var none Pace
	if n, _, wait := none.Ask(1, 10, 10); n != 10 || wait != 0 || none.Late(1e9) != 0 {
		t.Errorf("without a rate: %d, %v, late %v", n, wait, none.Late(1e9))
	}
}

// What is not made good stays late in the schedule that was asked, and is counted as far as there
// were tasks for it.
func TestPaceGivesUp(t *testing.T) {
	tests := []struct {
		name    string
		slack   time.Duration
		ready   int64
		wake    bool // the queue was empty until the end of the freeze
		givenUp uint64
		late    time.Duration // of the tasks in the second after it
	}{
		{"frozen", 0, 1 << 40, false, 199, 2 * time.Second},
		{"frozen, with few tasks", 0, 5, false, 4, 2 * time.Second},
		{"frozen, with the last task", 0, 1, false, 0, 2 * time.Second},
		{"made good", 10 * time.Second, 1 << 40, false, 0, 0},
		{"nothing to do", 0, 1 << 40, true, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p Pace
			now := int64(7)
			p.Set(Schedule{Rate: 100, Slack: tt.slack}, now)
			asks(&p, &now, time.Second, 10*time.Millisecond, 10)
			now += int64(2 * time.Second)
			if tt.wake {
				p.Wake(now)
			}
			_, up, _ := p.Ask(now, 10, tt.ready)
			if up.Count < tt.givenUp || up.Count > tt.givenUp+1 {
				t.Errorf("%d given up, want %d", up.Count, tt.givenUp)
			}
			p.GiveUp(up)
			asks(&p, &now, time.Second, 10*time.Millisecond, 1000)
			now += int64(10 * time.Millisecond)
			if late := p.Late(now); (late - tt.late).Abs() > 30*time.Millisecond {
				t.Errorf("tasks are %v late, want %v", late, tt.late)
			}
		})
	}
}

func TestPaceNow(t *testing.T) {
	var p Pace
	p.Set(Schedule{Stages: []stages.Stage{{From: 0, To: 100, For: 10 * time.Second},
		{From: 50, To: 50, For: time.Second}}}, 0)
	for at, want := range map[time.Duration]float64{0: 0, 5 * time.Second: 50, 10500 * time.Millisecond: 50,
		time.Hour: 50, 9 * time.Second: 90} {
		if got := p.Now(int64(at)); math.Abs(got-want) > 1e-9 {
			t.Errorf("rate at %v = %v, want %v", at, got, want)
		}
	}
}
