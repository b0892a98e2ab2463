package enginetest

import (
	"slices"
	"strings"
	"testing"
)

// realLaws are those that hold in real time too: they wait for nothing but answers.
var realLaws = []string{
	"P1 a put survives with everything in it/kill",
	"P1 a put survives with everything in it/restart",
	"P2 an undone task returns to its place, the attempt not counted",
	"P4 a number alone names its lease, live and acked",
	"P4 a number with the wrong queue is not found",
	"P4 a repeated ack in the same call is OK and changes nothing",
	"P4 an acked lease is neither nacked nor extended",
	"P4 an unknown number is lost",
	"P4 many callers, one live lease per task",
	"P5 first deliveries follow the puts/kill",
	"P5 first deliveries follow the puts/restart",
	"P5 order is per queue",
	"P5 priorities are strict",
	"P5 the order of many callers' puts is that of their receipts",
	"P6 a result carries its task's id, run, position and attempt",
	"P6 a result goes to the ack's queue, the task's, the run's, or results",
	"P6 an ack is answered for itself",
	"P6 callers that race for one lease make one result",
	"P6 follow-ups join the run unless they name another",
	"P8 a queue with leases is not dropped",
	"P8 a run and its retries are one job/kill",
	"P8 a sealed run keeps its total and takes nothing beyond it",
	"P8 a task nacked as dead keeps its reason",
	"P8 another source, queue or results queue is a conflict",
	"P8 cancel ends what nobody works on, and seals",
	"P8 purge of some drops those that the filter means, and no others",
	"P8 redrive makes dead tasks pending again, their tries counted anew",
	"P8 redrive of some touches those that the filter means, and no others",
	"P8 results are puts of their queue and not of the run",
	"P8 the sets of positions tell what became of each",
	"a duplicate follow-up is not stored, and the ack holds",
	"a hook joins the run that it names, and no chain of hooks leads back",
	"a hook's task has the books of its run",
	"a run goes on waiting for another/kill",
	"a run that is redriven ends again with a hook of its own",
	"an answer holds no more bytes than a put",
	"an id put by many callers at once is stored once",
	"max_unique is the most ids that tasks hold",
	"peek shows pages without handing out",
	"range: an ack puts one in its commit",
	"range: each position is a task with its number in its body",
	"what a worker said of a task goes with its next hand-out",
}

// RunReal checks laws as subtests of t over an engine that rests on processes outside of the
// program, in real time, and logs those that it leaves out: they wait for leases, delays and
// windows, or need a power cut.
func RunReal(t *testing.T, h Harness) {
	all := laws()
	var left []string
	for _, l := range all {
		if !slices.Contains(realLaws, l.name) {
			left = append(left, l.name)
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			sys := h.Open(t)
			defer sys.Close(t)
			l.body(&world{T: t, sys: sys})
		})
	}
	for _, name := range realLaws {
		if !slices.ContainsFunc(all, func(l law) bool { return l.name == name }) {
			t.Errorf("there is no law %q", name)
		}
	}
	t.Logf("%d of %d laws in real time, left out:\n%s", len(all)-len(left), len(all), strings.Join(left, "\n"))
}
