// Package cron says when a schedule is due: five fields as crontab has them, in a time zone.
//
// It knows nothing of tasks, clocks and stores. Zones are in the program, whatever the machine has.
package cron

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a server in a small container knows zones, too

	"github.com/netresearch/go-cron"

	"github.com/glassq/glassq"
)

// searched is how many years are looked through for the next moment: the 29th of February may be
// eight years away.
const searched = 9

var parser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor |
	cron.DowOrDom).WithMaxSearchYears(searched)

// A Spec is a schedule in a zone. It is safe for concurrent use.
type Spec struct {
	s      cron.Schedule
	zone   *time.Location
	hourly bool // due in every hour: also in both of the hour that comes twice
}

// Parse reads five fields (minute, hour, day of month, month, day of week) or one of @hourly, @daily,
// @weekly, @monthly and @yearly, and a zone such as Europe/Berlin; "" is UTC. A day of month and a
// day of week that are both named mean either, as in crontab. What is never due after a moment is
// refused. Errors have code bad_request.
func Parse(text, zone string, after time.Time) (Spec, error) {
	text = strings.Join(strings.Fields(text), " ")
	if strings.Contains(text, "TZ=") || strings.HasPrefix(text, "@every") {
		return Spec{}, glassq.Errorf(glassq.CodeBadRequest,
			"cron %.60q: the zone is a member of its own, and @every has no moments that survive a restart; use */5 and the like", text)
	}
	if zone == "Local" {
		return Spec{}, glassq.Errorf(glassq.CodeBadRequest, "zone Local differs from server to server; name one, such as Europe/Berlin")
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return Spec{}, glassq.Errorf(glassq.CodeBadRequest, "zone %.60q is not known; name one such as Europe/Berlin or UTC", zone)
	}
	s, err := parser.Parse(text)
	if err != nil {
		return Spec{}, glassq.Errorf(glassq.CodeBadRequest, "cron %.60q: %w; it has five fields: minute hour day month weekday", text, inWords(err))
	}
	fields := strings.Fields(text)
	spec := Spec{s, loc, text == "@hourly" || len(fields) == 5 && fields[1] == "*"}
	if spec.Next(after).IsZero() {
		return Spec{}, glassq.Errorf(glassq.CodeBadRequest, "cron %.60q is never due: no such day comes within %d years", text, searched)
	}
	return spec, nil
}

// mostMoved is more than clocks are moved by when they go forward or back.
const mostMoved = 3 * time.Hour

// Next is the first due moment after another one, to the minute; zero for never.
//
// A time of day that a clock leaves out when it goes forward is due as much later. One that comes
// twice when it goes back is due the first time only, unless the schedule is due in every hour.
func (s Spec) Next(after time.Time) time.Time {
	if s.hourly {
		return s.s.Next(after.In(s.zone)).UTC()
	}
	// The library knows other rules for these nights, so it is asked about times of day, as a clock
	// that is never moved shows them.
	for shown := clock(after.In(s.zone)).Add(-mostMoved); ; {
		if shown = s.s.Next(shown); shown.IsZero() {
			return shown
		}
		if at := s.moment(shown); at.After(after) {
			return at.UTC()
		}
	}
}

// clock is what a clock shows at t, as if it were in UTC.
func clock(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// moment is when a clock of the zone first shows this, or would if it had not been moved.
func (s Spec) moment(shown time.Time) time.Time {
	t := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), 0, 0, s.zone)
	if d := shown.Sub(clock(t)); d > 0 { // left out, and t is before that
		return t.Add(d)
	}
	for _, d := range []time.Duration{time.Hour, 30 * time.Minute} { // or on Lord Howe Island
		if first := t.Add(-d); clock(first).Equal(shown) {
			return first
		}
	}
	return t
}

// inWords is an error of the parser without words for programmers: its options, and strconv.
func inWords(err error) error {
	if n, ok := errors.AsType[*strconv.NumError](err); ok {
		return fmt.Errorf("%q is neither a number nor a name there", n.Num)
	}
	if strings.HasSuffix(err.Error(), "to be enabled") {
		return errors.New("none of L, W, H and # is known here")
	}
	return err
}
