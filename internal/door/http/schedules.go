package httpdoor

import (
	"net/http"

	"github.com/glassq/glassq"
)

func (s *call) schedules(r *http.Request, _ *query) (any, error) {
	list, err := s.store.Schedules(r.Context())
	return listed("schedules", list), err
}

func (s *call) setSchedule(r *http.Request, c *glassq.ScheduleChange) (any, error) {
	return s.store.SetSchedule(r.Context(), r.PathValue("schedule"), *c)
}

func (s *call) dropSchedule(r *http.Request, _ *query) (any, error) {
	return okay, s.store.DropSchedule(r.Context(), r.PathValue("schedule"))
}
