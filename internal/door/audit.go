package door

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/audit"
	"github.com/glassq/glassq/internal/rights"
)

// nobody is who has shown nothing that is known.
const nobody = "unknown"

// Actions that are kinds of what the table of rights names.
const (
	actionPause  = "pause"
	actionResume = "resume"
	actionSeal   = "seal"
)

// Actions is all that an entry of the audit may name as its action, sorted.
func Actions() []string {
	all := []string{actionPause, actionResume, actionSeal, audit.ActionLogin, audit.ActionLost,
		rights.ActionNew, rights.ActionChange, rights.ActionRevoke}
	for _, r := range rights.Rules {
		if r.Audit != "" {
			all = append(all, r.Audit)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Do has f done, where the client may do verb with name, a queue or a run, "" for none; f says how
// many tasks it was about. What the table of rights says is audited is audited here, done or
// refused, and nowhere else.
func (s Store) Do(ctx context.Context, verb rights.Verb, name string, f func() (n int, err error)) (int, error) {
	return s.act(ctx, verb, "", name, "", f)
}

// act is Do, with another word than the table's for the action, "" for none, and what it was about.
func (s Store) act(ctx context.Context, verb rights.Verb, action, name, what string,
	f func() (n int, err error)) (n int, err error) {
	if err = s.Who.May(verb, name); err == nil {
		n, err = f()
	}
	s.by.note(ctx, s.Who, verb, audit.Entry{Action: action, What: what, Count: int64(n)}, name, err)
	return n, err
}

// May is Who.May with name, or Who.MayAtAll where that is "", for a door that asks before it calls
// a verb: a client that may not is audited.
func (s Store) May(ctx context.Context, verb rights.Verb, name string) error {
	err := s.Who.MayAtAll(verb)
	if name != "" {
		err = s.Who.May(verb, name)
	}
	if err != nil {
		s.by.note(ctx, s.Who, verb, audit.Entry{}, name, err)
	}
	return err
}

// Login has it audited that the client showed who it is or, with err, something wrong. Of many
// alike few are.
func (c Client) Login(ctx context.Context, who Who, err error) {
	e := audit.Entry{Who: who.name(true), Door: c.Door, From: c.From, Outcome: audit.OK}
	if err != nil {
		e.Who, e.Outcome = nobody, string(glassq.CodeUnauthorized)
	}
	c.Frame.logins.Note(ctx, e)
}

func (c Client) note(ctx context.Context, who Who, verb rights.Verb, e audit.Entry, name string, err error) {
	rule := &rights.Rules[verb]
	if rule.Audit == "" || c.Frame == nil {
		return
	}
	e.Action = cmp.Or(e.Action, rule.Audit)
	e.Who, e.Door, e.From, e.Outcome = c.name(who, err), c.Door, c.From, outcomeOf(err)
	name = name[:min(len(name), glassq.MaxName)]
	if rule.Of == rights.OfRun {
		e.Run = name
	} else {
		e.Queue = name
	}
	c.Frame.Audit.Note(ctx, e)
}

// name is whose action it was.
func (c Client) name(who Who, err error) string {
	if err != nil && who.may == 0 && glassq.CodeOf(err) == glassq.CodeUnauthorized {
		return nobody
	}
	return who.name(c.Frame.Access.Locked())
}

func outcomeOf(err error) string {
	if err == nil {
		return audit.OK
	}
	return string(glassq.CodeOf(err))
}

// settingsOf is what a change sets, as JSON; of schemas, which may be long, no more than that.
func settingsOf(c glassq.SettingsChange) string {
	var schemas string
	for name, s := range map[string]**glassq.Schema{"task_schema": &c.TaskSchema, "result_schema": &c.ResultSchema} {
		if *s != nil {
			schemas += " " + name
			*s = nil
		}
	}
	text, _ := json.Marshal(c) // numbers, texts and booleans cannot fail
	return strings.TrimSpace(string(text) + schemas)
}

func statesOf(states []glassq.State) string {
	var names []string
	for _, s := range states {
		names = append(names, s.String())
	}
	return strings.Join(names, " ")
}

// filterOf is which dead tasks are meant, in short.
func filterOf(f glassq.DeadFilter) string {
	parts := []string{"dead"}
	switch n := len(f.Tasks); {
	case n == 1:
		parts = append(parts, "task "+f.Tasks[0])
	case n > 1:
		parts = append(parts, strconv.Itoa(n)+" named tasks")
	}
	for _, m := range [][2]string{{"why", f.Why}, {"run", f.Run}, {"reason", f.Reason}} {
		if m[1] != "" {
			parts = append(parts, m[0]+" "+m[1])
		}
	}
	return strings.Join(parts, " ")
}
