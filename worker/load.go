package worker

import (
	"runtime"
	"time"
)

// A worker that cannot keep up measures itself instead of its target. So it looks at itself every
// loadEvery and says so: when tasks of a rate begin late because its handlers are all busy, and
// when the process has no processor time left. Without a rate busy handlers are what a worker is
// for.

const (
	loadEvery = 10 * time.Second
	sayEvery  = time.Minute // between two warnings of one kind
	busyShare = 0.9         // of the time that handlers, or processors, have
)

// A load sums up what handlers did in one window. It is guarded by worker.mu.
type load struct {
	begun int           // tasks
	paced int           // of those, leased after the moment a rate had for them
	late  time.Duration // of the paced, from that moment to their begin
	busy  time.Duration // in handlers
}

// add counts a task that began late after its due moment, 0 if it had none, and took busy.
func (l *load) add(paced bool, late, busy time.Duration) {
	l.begun++
	l.busy += busy
	if paced {
		l.paced++
		l.late += late
	}
}

// behind tells whether handlers are what tasks waited for: most tasks of the window had a due
// moment, began later after it than they took, and the handlers had hardly a pause.
func (l *load) behind(handlers int, window time.Duration) bool {
	if l.begun == 0 || 2*l.paced <= l.begun {
		return false
	}
	full := l.busy.Seconds() > busyShare*window.Seconds()*float64(handlers)
	return full && l.late/time.Duration(l.paced) > l.busy/time.Duration(l.begun)
}

// exhausted tells whether a process that used cpu of processor time had no more.
func exhausted(cpu, window time.Duration, processors int) bool {
	return cpu.Seconds() > busyShare*window.Seconds()*float64(processors)
}

// watchLoad looks at the worker until over is closed.
func (w *worker) watchLoad(over <-chan struct{}) {
	tick := time.NewTicker(loadEvery)
	defer tick.Stop()
	last := time.Now()
	lastCPU, _ := processTime()
	var saidBehind, saidCPU time.Time
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		now := time.Now()
		window := now.Sub(last)
		last = now
		w.mu.Lock()
		l := w.load
		w.load = load{}
		handlers := w.places()
		w.mu.Unlock()
		if l.behind(handlers, window) && now.Sub(saidBehind) >= sayEvery {
			saidBehind = now
			w.opt.Logger.Warn("the worker is the bottleneck: all its handlers are busy and tasks begin late; raise -c or start another worker",
				"queue", w.opt.Queue, "handlers", handlers, "late", brief(l.late/time.Duration(l.paced)), "work",
				brief(l.busy/time.Duration(l.begun)))
		}
		cpu, ok := processTime()
		if ok && l.begun > 0 && exhausted(cpu-lastCPU, window, runtime.GOMAXPROCS(0)) && now.Sub(saidCPU) >= sayEvery {
			saidCPU = now
			w.opt.Logger.Warn("the worker is the bottleneck: its processors are used up, so times are its own rather than its target's; start another on another machine",
				"queue", w.opt.Queue, "processors", runtime.GOMAXPROCS(0), "used", brief(cpu-lastCPU), "of",
				brief(window*time.Duration(runtime.GOMAXPROCS(0))))
		}
		lastCPU = cpu
	}
}

// brief is d as precise as a person wants it.
func brief(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
