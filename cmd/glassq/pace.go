package main

import (
	"context"
	"fmt"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/stages"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// paceFlags are a rate for the queue of a run.
type paceFlags struct {
	rate     float64
	stages   string
	catchup  time.Duration
	duration time.Duration
}

func (p *paceFlags) flags(cmd *cobra.Command) { heading(cmd, headPace, p.table) }

func (p *paceFlags) table(fs *pflag.FlagSet) {
	fs.Float64Var(&p.rate, "rate", 0, "hand-outs a second, over all workers together; 0 no limit")
	fs.StringVar(&p.stages, "stages", "", "`rates` over time, like 0..5000/30s,5000/1m; the last one goes on")
	fs.DurationVar(&p.duration, "duration", 0, "make tasks of the template for that long, instead of -n; with --rate, as many as that hands out")
	fs.DurationVar(&p.catchup, "catchup", 0, "how much of its schedule the queue catches up with in a burst when workers were late")
}

func (p *paceFlags) asked() bool { return p.rate != 0 || p.stages != "" }

func (p *paceFlags) check() error {
	switch {
	case p.rate != 0 && p.stages != "":
		return usagef("--rate and --stages at once: stages are a rate that changes; leave one out")
	case p.rate < 0 || p.rate > glassq.MaxRate:
		return usagef("--rate %v is not between 0 (no limit) and 10,000,000", p.rate)
	case p.catchup < 0 || p.catchup > glassq.MaxCatchup:
		return usagef("--catchup %v is not between 0 and %v", p.catchup, glassq.MaxCatchup)
	case p.catchup > 0 && !p.asked():
		return usagef("--catchup is of a schedule: give --rate or --stages")
	}
	_, err := stages.Parse(p.stages)
	return err
}

// change is what the flags say as settings.
func (p *paceFlags) change() glassq.SettingsChange {
	catchup := p.catchup.Seconds()
	c := glassq.SettingsChange{Catchup: &catchup}
	if p.stages != "" {
		c.Stages = &p.stages
	} else {
		c.Rate = &p.rate
	}
	return c
}

func (p *paceFlags) String() string {
	if p.stages != "" {
		return "stages " + p.stages
	}
	return fmt.Sprintf("%g a second", p.rate)
}

// A configurer has the settings of queues: a client or a broker.
type configurer interface {
	Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error)
	Configure(ctx context.Context, queue string, c glassq.SettingsChange) (glassq.Settings, error)
}

// A paced queue has a rate for as long as a run lasts.
type paced struct {
	q      configurer
	queue  string
	mine   glassq.Settings // as this call has set them
	before glassq.Settings
}

// set gives queue the rate of the flags; nil, and nothing done, when there is none.
func (p *paceFlags) set(ctx context.Context, q configurer, queue string) (*paced, error) {
	if !p.asked() {
		return nil, nil
	}
	s := &paced{q: q, queue: queue}
	all, err := q.Queues(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the rate of queue %s: %w", queue, err)
	}
	for i := range all {
		if all[i].Name == queue {
			s.before = all[i].Settings
		}
	}
	if s.mine, err = q.Configure(ctx, queue, p.change()); err != nil {
		return nil, fmt.Errorf("set the rate of queue %s: %w", queue, err)
	}
	if s.before.Rate == s.mine.Rate && s.before.Stages == s.mine.Stages {
		// What an earlier call of the same command left.
		s.before.Rate, s.before.Stages, s.before.Catchup = 0, "", 0
	}
	return s, nil
}

// clear puts the queue's rate back as it was, unless somebody else has changed it meanwhile, and
// says what the rate is now.
func (s *paced) clear(ctx context.Context) (string, error) {
	info, err := s.q.Queues(ctx, s.queue)
	if err != nil || len(info) != 1 {
		return "", fmt.Errorf("clear the rate of queue %s: %w", s.queue, err)
	}
	now := info[0].Settings
	if now.Rate != s.mine.Rate || now.Stages != s.mine.Stages || now.StagesAt != s.mine.StagesAt {
		return fmt.Sprintf("the rate of queue %s was changed meanwhile and stays: %s", s.queue, rateLine(now)), nil
	}
	c := glassq.SettingsChange{Rate: &s.before.Rate, Catchup: &s.before.Catchup}
	if s.before.Stages != "" {
		c = glassq.SettingsChange{Stages: &s.before.Stages, Catchup: &s.before.Catchup}
	}
	now, err = s.q.Configure(ctx, s.queue, c)
	if err != nil {
		return "", fmt.Errorf("clear the rate of queue %s: %w", s.queue, err)
	}
	return fmt.Sprintf("the rate of queue %s is cleared: %s", s.queue, rateLine(now)), nil
}

// rateLine describes the rate of a queue.
func rateLine(s glassq.Settings) string {
	line := "no limit"
	switch {
	case s.Stages != "":
		line = "stages " + s.Stages
		if s.StagesAt > 0 {
			line += " since " + time.UnixMilli(s.StagesAt).Local().Format(time.TimeOnly)
		}
	case s.Rate > 0:
		line = fmt.Sprintf("%.10g", s.Rate)
	}
	if s.Catchup > 0 {
		line += fmt.Sprintf(", catchup %gs", s.Catchup)
	}
	return line
}
