package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/glassq/glassq"
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
	"settings":         "The settings are changed.",
	"paused":           "The queue is paused: nothing is handed out.",
	"resumed":          "The queue goes on.",
	"schedule-paused":  "The schedule is paused: it puts nothing.",
	"schedule-resumed": "The schedule goes on.",
	"purged":           "%s purged.",
	"redriven":         "%s ready again.",
	"redriving":        "Dead tasks are made ready again; this page shows how far that is.",
	"deleting":         "Dead tasks are deleted; this page shows how far that is.",
	"cancelled":        "The run is cancelled; %s ended with it.",
}

// Done is what the last action did, "" for none.
func (v *visit) Done() string {
	text := doneTexts[v.Query("done")]
	if text == "" {
		return ""
	}
	n, _ := strconv.Atoi(v.Query("count"))
	return strings.Replace(v.T(text), "%s", v.Count(n, "task", "tasks"), 1)
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
	for i, dst := range []**float64{&c.Rate, &c.Catchup} {
		name := []string{"rate", "catchup"}[i]
		if text, ok := changed(name); ok {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return bad(name, text)
			}
			*dst = &n
		}
	}
	for i, dst := range []**int64{&c.MaxTasks, &c.MaxBytes} {
		name := []string{"max_tasks", "max_bytes"}[i]
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
	if f := v.filter(); !isAll(f) {
		if len(states) != 1 || states[0] != glassq.Dead {
			return glassq.Errorf(glassq.CodeBadRequest,
				"nothing was changed: only dead tasks are told apart by task, reason or run")
		}
		return v.changeDead(queue, f, true)
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
