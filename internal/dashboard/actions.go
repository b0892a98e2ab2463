package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

const (
	redriveAt   = 1000 // dead tasks made ready by one call, so that others get their turn
	redriveRest = 3    // times as long as such a call took nothing is done, for the same reason
	maxRedrives = 64   // of which the progress is known
)

// done leads back to the page of a form, which says what was done.
func (v *visit) done(what string, count int) error {
	to, err := url.Parse(local(v.r.PostFormValue("back")))
	if err != nil {
		to = &url.URL{Path: "/"}
	}
	q := to.Query()
	q.Set("done", what)
	q.Set("count", strconv.Itoa(count))
	to.RawQuery = q.Encode()
	http.Redirect(v.rw, v.r, to.String(), http.StatusSeeOther)
	return nil
}

// doneTexts are what pages say after an action. The address only names one of them: nobody can make
// a page say something else by a link.
var doneTexts = map[string]string{
	"settings":  "The settings are changed.",
	"paused":    "The queue is paused: nothing is handed out.",
	"resumed":   "The queue goes on.",
	"purged":    "%s tasks were purged.",
	"redriven":  "%s tasks are ready again.",
	"redriving": "Dead tasks are made ready again; this page shows how far that is.",
	"cancelled": "The run is cancelled; %s tasks ended with it.",
}

// Done is what the last action did, "" for none.
func (v *visit) Done() string {
	text := doneTexts[v.Query("done")]
	if text == "" {
		return ""
	}
	n, _ := strconv.Atoi(v.Query("count"))
	return strings.Replace(v.T(text), "%s", num(n), 1)
}

// named checks that the visitor typed the name of what is to be destroyed.
func (v *visit) named(name string) error {
	if typed := v.r.PostFormValue("name"); typed != name {
		return glassq.Errorf(glassq.CodeBadRequest, "nothing was changed: type the name %s to confirm; it was %.80q", name, typed)
	}
	return nil
}

func (v *visit) pause() error { return v.setPaused(true, "paused") }

func (v *visit) resume() error { return v.setPaused(false, "resumed") }

func (v *visit) setPaused(paused bool, what string) error {
	_, err := v.store().Configure(v.ctx(), v.r.PathValue("queue"), glassq.SettingsChange{Paused: &paused})
	if err != nil {
		return err
	}
	return v.done(what, 0)
}

// changeSettings changes the rate and the limits. Only what differs from what the page showed is
// sent, so that two who change different things do not undo each other.
func (v *visit) changeSettings() error {
	var c glassq.SettingsChange
	changed := func(name string) (string, bool) {
		text := strings.TrimSpace(v.r.PostFormValue(name))
		return text, text != v.r.PostFormValue("was_"+name)
	}
	bad := func(name, text string) error {
		return glassq.Errorf(glassq.CodeBadRequest, "nothing was changed: %s %.40q is not a number", name, text)
	}
	for name, dst := range map[string]**float64{"rate": &c.Rate, "catchup": &c.Catchup} {
		if text, ok := changed(name); ok {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return bad(name, text)
			}
			*dst = &n
		}
	}
	for name, dst := range map[string]**int64{"max_tasks": &c.MaxTasks, "max_bytes": &c.MaxBytes} {
		if text, ok := changed(name); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return bad(name, text)
			}
			*dst = &n
		}
	}
	if text, ok := changed("attempts"); ok {
		n, err := strconv.Atoi(text)
		if err != nil {
			return bad("attempts", text)
		}
		c.Attempts = &n
	}
	if text, ok := changed("stages"); ok {
		c.Stages = &text
	}
	if _, err := v.store().Configure(v.ctx(), v.r.PathValue("queue"), c); err != nil {
		return err
	}
	return v.done("settings", 0)
}

// purge ends the tasks in those states that were ticked.
func (v *visit) purge() error {
	queue := v.r.PathValue("queue")
	if err := v.named(queue); err != nil {
		return err
	}
	var states []glassq.State
	for _, text := range v.r.PostForm["state"] {
		s, err := glassq.ParseState(text)
		if err != nil {
			return err
		}
		states = append(states, s)
	}
	if len(states) == 0 {
		return glassq.Errorf(glassq.CodeBadRequest, "nothing was changed: choose which tasks to purge")
	}
	n, err := v.store().Purge(v.ctx(), queue, states...)
	if err != nil {
		return err
	}
	return v.done("purged", n)
}

func (v *visit) cancel() error {
	name := v.r.PathValue("run")
	if err := v.named(name); err != nil {
		return err
	}
	n, err := v.store().CancelRun(v.ctx(), name)
	if err != nil {
		return err
	}
	return v.done("cancelled", n)
}

// redrive makes the oldest dead tasks ready, as many as the form says, or all of them: those in the
// background, by a few at a time. A stop of the server ends that; what is still dead can be
// redriven again.
func (v *visit) redrive() error {
	queue := v.r.PathValue("queue")
	if text := v.r.PostFormValue("max"); text != "" {
		most, err := strconv.Atoi(text)
		if err != nil || most < 1 || most > redriveAt {
			return glassq.Errorf(glassq.CodeBadRequest, "nothing was changed: %.40q is not 1 to %d", text, redriveAt)
		}
		n, err := v.store().Redrive(v.ctx(), queue, most)
		if err != nil {
			return err
		}
		return v.done("redriven", n)
	}
	list, err := v.store().Queues(v.ctx(), queue)
	if err != nil {
		return err
	}
	if len(list) == 0 || list[0].Dead == 0 {
		return v.done("redriven", 0)
	}
	life := v.opt.Life
	if life == nil {
		life = context.Background()
	}
	store, ctx := v.store(), context.WithoutCancel(v.ctx())
	if !v.redrives.start(queue, list[0].Dead, func(n int64) (int, error) {
		began := time.Now()
		done, err := store.Redrive(ctx, queue, int(min(n, redriveAt)))
		if err != nil {
			return done, err
		}
		pause := time.NewTimer(redriveRest * time.Since(began))
		defer pause.Stop()
		select {
		case <-pause.C:
			return done, nil
		case <-life.Done():
			return done, glassq.Errorf(glassq.CodeClosed, "the server is stopping")
		}
	}) {
		return glassq.Errorf(glassq.CodeUnavailable, "%d redrives are under way already; try again later", maxRedrives)
	}
	return v.done("redriving", 0)
}

// redrives are those of all dead tasks of a queue: one a queue at a time, and the last one of each.
type redrives struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	all map[string]*redrive
}

type redrive struct{ progress }

// A progress is how far a redrive is.
type progress struct {
	Done, Total int64
	Over        bool
	Err         string
}

// of is the progress of the redrive of a queue, nil where there was none.
func (r *redrives) of(queue string) *progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := r.all[queue]; at != nil {
		p := at.progress
		return &p
	}
	return nil
}

// start redrives total tasks in the background by calling some again and again, unless that is
// under way; it returns false when too many others are.
func (r *redrives) start(queue string, total int64, some func(left int64) (int, error)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := r.all[queue]; at != nil && !at.Over {
		return true // two who ask for the same get it once
	}
	for name, at := range r.all {
		if len(r.all) >= maxRedrives && at.Over {
			delete(r.all, name)
		}
	}
	if len(r.all) >= maxRedrives {
		return false
	}
	at := &redrive{progress{Total: total}}
	r.all[queue] = at
	r.wg.Go(func() {
		for left := total; ; {
			n, err := some(left)
			left -= int64(n)
			r.mu.Lock()
			at.Done += int64(n)
			if at.Over = err != nil || n == 0 || left <= 0; err != nil {
				at.Err = err.Error()
			}
			over := at.Over
			r.mu.Unlock()
			if over {
				return
			}
		}
	})
	return true
}
