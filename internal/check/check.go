// Package check is the conformance kit: it starts a worker in any language against a private
// server, feeds it cases, and tells which it failed and why.
//
// The worker under test does one small job, the same through every door:
//
//   - a task whose body is the JSON object {"sleep":S} takes S seconds and succeeds;
//   - {"fail":true} fails: o.ok is 0;
//   - a sleep that is not a number fails, and the worker goes on;
//   - any other body, of any type, succeeds at once.
//
// Each result echoes the body in i. The package watches from below the broker what the worker
// reserves, acks, nacks and extends, so it sees all doors alike. It knows no doors and no engine: a
// Rig starts them.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/glassq/glassq"
)

// Doors that a worker may come through.
const (
	DoorHTTP     = "http"
	DoorPipe     = "pipe"
	DoorMemcache = "memcache"
	DoorManager  = "manager"
)

// Doors lists them.
func Doors() []string { return []string{DoorPipe, DoorHTTP, DoorMemcache, DoorManager} }

// A Rig starts the private server, which keeps its data and its addresses from one start to the
// next.
type Rig interface {
	// Start opens the store and the doors. The doors' broker stands before watch(engine).
	Start(watch func(glassq.Store) glassq.Store) error
	// Stop closes the doors, then the store. Connections are cut, as when a server is restarted.
	Stop() error
	// Env is what the worker finds in its environment, the addresses above all.
	Env() []string
}

// A Format is how the tasks and results of a worker look that does a job of its own. Its results
// may look as it likes, and their i is not compared.
type Format struct {
	Body    string         // of a task that goes well; {n} is a number that no other has
	Failing string         // of a task that fails; "" leaves out what needs one
	Slow    string         // of a task that takes some three seconds and goes well; "" leaves out what needs one
	Success *regexp.Regexp // a result went well when its text matches; nil: as the server books it, and it must be a record
}

// Options tunes Run.
type Options struct {
	Door     string        // one of Doors
	Command  []string      // the worker and its arguments
	Own      *Format       // nil for the job and the results above
	Only     []string      // names of cases; nil means all that the door allows
	Patience time.Duration // longest wait for what a case expects, from the last task that was done; 0 means 15s
	Output   io.Writer     // what the worker prints; nil discards
	Each     func(Verdict) // called after each case, may be nil
}

// A Verdict is how one case ended.
type Verdict struct {
	Case   string        `json:"case"`
	What   string        `json:"what"` // what the case asks for
	OK     bool          `json:"ok"`
	Reason string        `json:"reason,omitempty"` // why it is not OK
	Took   time.Duration `json:"took_ns"`
}

// Cases lists the names of the cases that a door, and the worker's own format if it is not nil,
// allow, in order.
func Cases(door string, own *Format) []string {
	var names []string
	for _, c := range cases {
		if c.allows(door, own) {
			names = append(names, c.name)
		}
	}
	return names
}

// Run runs the cases one after the other. A worker that ended is started anew for the next case.
// The error says that the kit itself could not go on; what the worker did wrong is in the verdicts.
func Run(ctx context.Context, rig Rig, opt Options) (verdicts []Verdict, err error) {
	if opt.Patience == 0 {
		opt.Patience = 15 * time.Second
	}
	l := &lab{opt: opt, rig: rig, spy: newSpy()}
	if err := rig.Start(l.spy.watch); err != nil {
		return nil, err
	}
	defer func() {
		l.stopWorker()
		err = errors.Join(err, rig.Stop())
	}()
	for i := range cases {
		c := &cases[i]
		if !c.allows(opt.Door, opt.Own) || !selected(opt.Only, c.name) {
			continue
		}
		v := l.run(ctx, c)
		if ctx.Err() != nil {
			return verdicts, context.Cause(ctx)
		}
		verdicts = append(verdicts, v)
		if opt.Each != nil {
			opt.Each(v)
		}
		if l.broken != nil {
			return verdicts, l.broken
		}
	}
	return verdicts, nil
}

func selected(only []string, name string) bool {
	for _, o := range only {
		if o == name {
			return true
		}
	}
	return len(only) == 0
}

// run runs one case with a clean queue and a living worker.
func (l *lab) run(ctx context.Context, c *testCase) Verdict {
	v := Verdict{Case: c.name, What: c.what}
	began := time.Now()
	l.ctx, l.name, l.tasks = ctx, c.name, nil
	err := l.ensureWorker()
	if err == nil {
		err = c.do(l)
	}
	if err != nil {
		v.Reason = err.Error()
		if exited := l.workerEnded(); exited != "" {
			v.Reason += "; " + exited
		}
		// Tasks left of the case must not reach the next one.
		l.stopWorker()
	}
	l.spy.reset()
	if err := l.clear(); err != nil {
		l.broken = fmt.Errorf("clear the queue after case %s: %w", c.name, err)
	}
	v.OK, v.Took = v.Reason == "", time.Since(began)
	return v
}
