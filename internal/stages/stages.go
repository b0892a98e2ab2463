// Package stages reads the schedule of rates that a queue's settings hold as a text.
package stages

import (
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
)

// A Stage is a part of a queue's schedule: its rate goes from one value to another in a straight
// line.
type Stage struct {
	From, To float64       // hand-outs a second, 0 to glassq.MaxRate
	For      time.Duration // more than 0
}

// Parse reads stages as glassq.Settings hold them: "0..5000/30s,5000/1m" climbs to 5,000 a second
// in 30 seconds and stays there for a minute. The empty text is no stages. The error has code
// bad_request.
func Parse(s string) ([]Stage, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var stages []Stage
	for i, text := range strings.Split(s, ",") {
		g, reason := parseStage(strings.TrimSpace(text))
		if reason != "" {
			return nil, glassq.Errorf(glassq.CodeBadRequest, "stage %d of %.200q: %s; write stages like 0..5000/30s,5000/1m",
				i+1, s, reason)
		}
		stages = append(stages, g)
	}
	if len(stages) > glassq.MaxStages {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "%d stages; there may be %d", len(stages), glassq.MaxStages)
	}
	return stages, nil
}

// parseStage reads one stage; a reason that is not "" says what is wrong with it.
func parseStage(s string) (g Stage, reason string) {
	rates, span, ok := strings.Cut(s, "/")
	if !ok {
		return g, "it has no duration"
	}
	var err error
	if g.For, err = time.ParseDuration(strings.TrimSpace(span)); err != nil || g.For <= 0 || g.For > glassq.MaxDelay {
		return g, "its duration " + strconv.Quote(span) + " is not one like 30s, above 0"
	}
	from, to, ramp := strings.Cut(rates, "..")
	if !ramp {
		to = from
	}
	for _, r := range []struct {
		dst  *float64
		text string
	}{{&g.From, from}, {&g.To, to}} {
		v, err := strconv.ParseFloat(strings.TrimSpace(r.text), 64)
		if err != nil || !(v >= 0 && v <= glassq.MaxRate) {
			return g, "its rate " + strconv.Quote(r.text) + " is not a number from 0 to 10,000,000"
		}
		*r.dst = v
	}
	return g, ""
}
