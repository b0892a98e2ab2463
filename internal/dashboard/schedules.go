package dashboard

import (
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/rights"
)

// A scheduleRow is a schedule in the list.
type scheduleRow struct {
	glassq.Schedule
	May bool // pause it, and have it go on
}

// LastAt and NextAt are moments on a clock of the schedule's zone; "" for none.
func (r scheduleRow) LastAt() string { return r.shown(r.Last) }
func (r scheduleRow) NextAt() string { return r.shown(r.Next) }

func (r scheduleRow) shown(t time.Time) string {
	zone, err := time.LoadLocation(r.Zone)
	if err != nil || t.IsZero() {
		return ""
	}
	return t.In(zone).Format("2006-01-02 15:04 MST")
}

func (v *visit) schedules() error {
	all, err := v.store().Schedules(v.ctx())
	if err != nil {
		return err
	}
	may := !v.opt.ReadOnly && v.who.MayAtAll(rights.VerbSetSchedule) == nil
	rows := make([]scheduleRow, len(all))
	for i := range all {
		rows[i] = scheduleRow{all[i], may}
	}
	return v.render(200, "schedules", v.T("Schedules"), rows)
}

func (v *visit) pauseSchedule() error { return v.setScheduled(true, "schedule-paused") }

func (v *visit) resumeSchedule() error { return v.setScheduled(false, "schedule-resumed") }

func (v *visit) setScheduled(paused bool, what string) error {
	_, err := v.store().SetSchedule(v.ctx(), v.r.PathValue("schedule"), glassq.ScheduleChange{Paused: &paused})
	if err != nil {
		return err
	}
	return v.done(what, 0)
}
