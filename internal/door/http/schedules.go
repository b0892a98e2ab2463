package httpdoor

import (
	"net/http"

	"github.com/glassq/glassq"
)

func (s *call) schedules(rw http.ResponseWriter, r *http.Request) error {
	if q := parseQuery(r); q.err != nil {
		return q.err
	}
	list, err := s.store.Schedules(r.Context())
	if err != nil {
		return err
	}
	if list == nil {
		list = []glassq.Schedule{}
	}
	return done(answer(rw, map[string]any{"schedules": list}))
}

func (s *call) setSchedule(rw http.ResponseWriter, r *http.Request) error {
	if q := parseQuery(r); q.err != nil {
		return q.err
	}
	var change glassq.ScheduleChange
	if err := s.readJSON(rw, r, &change); err != nil {
		return err
	}
	schedule, err := s.store.SetSchedule(r.Context(), r.PathValue("schedule"), change)
	if err != nil {
		return err
	}
	return done(answer(rw, schedule))
}

func (s *call) dropSchedule(rw http.ResponseWriter, r *http.Request) error {
	if q := parseQuery(r); q.err != nil {
		return q.err
	}
	if err := s.store.DropSchedule(r.Context(), r.PathValue("schedule")); err != nil {
		return err
	}
	return done(answer(rw, map[string]bool{"ok": true}))
}
