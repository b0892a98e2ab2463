// Package enginetest states the promises of a queue engine (P1 to P9 of docs/design.md, and the
// books) as named laws, and measures engines.
//
// An engine passes when Run passes over a [Harness] that can kill it and cut its power. The package
// knows only what glassq.Store says; it does not know files, logs or clusters. Every law runs in a
// testing/synctest bubble: time is fake, so the engine must take its time from package time, and
// must not wait for anything outside of the bubble except for short system calls.
package enginetest

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/glassq/glassq"
)

// A Harness makes engines for the laws.
type Harness struct {
	// Open makes an engine over a fresh, empty store. It is called inside of a bubble, once per
	// law.
	Open func(t testing.TB) System
}

// A System is one store, and the engine that is open on it now. After Kill, PowerCut and Restart a
// new engine is open on what is left, and the one before is gone.
//
// Kill and PowerCut may come while calls are under way. The answer of such a call must hold:
// the storage is cut off first, so that a call not yet durable cannot answer that it is.
type System interface {
	Store() glassq.Store
	Kill(t testing.TB)     // the process dies: what was written is kept
	PowerCut(t testing.TB) // what was written and not synced is lost
	Restart(t testing.TB)  // a clean Close, and open again
	Close(t testing.TB)    // the end; the engine may have been closed before
}

// A law is one promise, or one side of it.
type law struct {
	name string
	body func(*world)
}

// Run checks every law as a subtest of t.
func Run(t *testing.T, h Harness) {
	for _, l := range laws() {
		t.Run(l.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := h.Open(t)
				defer sys.Close(t)
				l.body(&world{T: t, sys: sys})
			})
		})
	}
}

func laws() []law {
	return slices.Concat(durableLaws(), deliveryLaws(), leaseLaws(), orderLaws(), commitLaws(),
		progressLaws(), haltLaws(), crashLaws(), waitLaws(), roomLaws(), deadLaws(), runLaws(), hookLaws(),
		scheduleLaws(), dedupLaws(), limitLaws(), rangeLaws(), keyLaws(), walkLaws(), listLaws())
}

// perEnd makes a law of each way in which an engine can end.
func perEnd(name string, body func(w *world, end func())) []law {
	ends := []struct {
		name string
		end  func(System, testing.TB)
	}{
		{"kill", System.Kill},
		{"power cut", System.PowerCut},
		{"restart", System.Restart},
	}
	var out []law
	for _, e := range ends {
		out = append(out, law{name + "/" + e.name, func(w *world) {
			body(w, func() { e.end(w.sys, w.T) })
		}})
	}
	return out
}
