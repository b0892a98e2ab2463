package dashboard

import (
	"time"

	"github.com/glassq/glassq"
)

// A scheduleRow is a schedule in the list.
type scheduleRow struct{ glassq.Schedule }

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
	rows := make([]scheduleRow, len(all))
	for i := range all {
		rows[i] = scheduleRow{all[i]}
	}
	return v.render(200, "schedules", v.T("Schedules"), rows)
}
