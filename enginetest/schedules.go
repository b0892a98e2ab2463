package enginetest

import (
	"slices"
	"time"

	"github.com/glassq/glassq"
)

// Schedules: one task per due moment, exactly once over any end.
func scheduleLaws() []law {
	return slices.Concat([]law{
		{"a schedule puts one task per due moment", scheduled},
		{"a schedule is paused, resumed, changed and forgotten", schedulesChange},
		{"the task of a due moment waits for room", scheduleFull},
	}, perEnd("a due moment has one task, whatever ends", scheduleSurvives))
}

func (w *world) schedules() glassq.Schedules {
	w.Helper()
	return part[glassq.Schedules](w)
}

func (w *world) setSchedule(name string, c glassq.ScheduleChange) glassq.Schedule {
	w.Helper()
	s, err := w.schedules().SetSchedule(w.Context(), name, c)
	w.ok("SetSchedule("+name+")", err)
	return s
}

// atMinute sleeps until seconds past the next minute.
func atMinute(seconds int) {
	now := time.Now()
	time.Sleep(now.Truncate(time.Minute).Add(time.Minute + time.Duration(seconds)*time.Second).Sub(now))
}

// due takes what schedules have put, and returns the moments as ids say them.
func (w *world) due() (ids []string) {
	for _, l := range w.reserve("due", 100) {
		ids = append(ids, l.ID)
		w.ack(glassq.Ack{Token: l.Token()})
	}
	return ids
}

// dueID is the id of the task of a moment that is minutes from now, to the minute before.
func dueID(name string, minutes int) string {
	return name + "/" + time.Now().Truncate(time.Minute).Add(time.Duration(minutes)*time.Minute).UTC().Format(time.RFC3339)
}

func (w *world) wantDue(when string, want ...string) {
	w.Helper()
	if got := w.due(); !slices.Equal(got, want) {
		w.Fatalf("%s schedules have put %q; want %q", when, got, want)
	}
}

const everyMinute = "* * * * *"

func scheduled(w *world) {
	atMinute(30)
	s := w.setSchedule("m", glassq.ScheduleChange{Cron: everyMinute,
		Task: `{"queue":"due","headers":{"a":"b"},"priority":7,"body":"x"}`})
	if want := time.Now().Truncate(time.Minute).Add(time.Minute); !s.Next.Equal(want) || !s.Last.IsZero() ||
		s.Zone != "UTC" || s.Missed != glassq.MissedOnce {
		w.Errorf("new schedule = %+v; want it due next at %v", s, want)
	}
	w.wantDue("before a moment is due,")
	for range 3 {
		atMinute(1)
		l := w.one("due")
		if l.ID != dueID("m", 0) || string(l.Body) != "x" || l.Headers["a"] != "b" || l.Priority.Level() != 7 {
			w.Fatalf("task of a schedule = %+v", l)
		}
		w.ack(glassq.Ack{Token: l.Token()})
		w.none("due")
	}
	atMinute(0)
	l, err := w.store().Reserve(w.Context(), glassq.Reserve{Queue: "due", Max: 1, Wait: 2 * time.Minute})
	if err != nil || len(l) != 1 {
		w.Fatalf("a reserve that waits for a schedule = %v, %v", l, err)
	}
	list, err := w.schedules().Schedules(w.Context())
	if err != nil || len(list) != 1 || list[0].Puts < 4 || list[0].Lost != 0 || list[0].Last.IsZero() {
		w.Errorf("Schedules = %+v, %v", list, err)
	}
}

func schedulesChange(w *world) {
	yes, no := true, false
	_, err := w.schedules().SetSchedule(w.Context(), "m", glassq.ScheduleChange{Paused: &yes})
	w.code("SetSchedule of one that is not there", err, glassq.CodeNotFound)
	w.code("DropSchedule of one that is not there", w.schedules().DropSchedule(w.Context(), "m"), glassq.CodeNotFound)
	_, err = w.schedules().SetSchedule(w.Context(), "m", glassq.ScheduleChange{Cron: "0 0 30 2 *", Task: `{"queue":"due","body":1}`})
	w.code("SetSchedule of what is never due", err, glassq.CodeBadRequest)
	atMinute(30)
	w.setSchedule("m", glassq.ScheduleChange{Cron: everyMinute, Task: `{"queue":"due","body":1}`})
	if s := w.setSchedule("m", glassq.ScheduleChange{Paused: &yes}); !s.Paused || !s.Next.IsZero() {
		w.Errorf("paused schedule = %+v", s)
	}
	time.Sleep(5 * time.Minute)
	w.wantDue("while it is paused")
	s := w.setSchedule("m", glassq.ScheduleChange{Paused: &no})
	if s.Paused || !s.Next.After(time.Now()) || !s.Last.IsZero() {
		w.Errorf("resumed schedule = %+v; want what is next after now", s)
	}
	atMinute(1)
	w.wantDue("after it was resumed", dueID("m", 0))
	w.setSchedule("m", glassq.ScheduleChange{Task: `{"queue":"due","body":2}`})
	atMinute(1)
	l := w.one("due")
	if string(l.Body) != "2" {
		w.Errorf("body of a schedule that was changed = %q", l.Body)
	}
	w.ack(glassq.Ack{Token: l.Token()})
	w.setSchedule("m", glassq.ScheduleChange{Cron: "0 0 1 1 *", Zone: "Asia/Shanghai"})
	time.Sleep(5 * time.Minute)
	w.wantDue("after its times were changed")
	w.ok("DropSchedule", w.schedules().DropSchedule(w.Context(), "m"))
	list, err := w.schedules().Schedules(w.Context())
	if err != nil || len(list) != 0 {
		w.Errorf("Schedules = %+v, %v; want none", list, err)
	}
}

func scheduleFull(w *world) {
	most := int64(1)
	_, err := w.store().Configure(w.Context(), "due", glassq.SettingsChange{MaxTasks: &most})
	w.ok("Configure", err)
	w.put(tasks("due", "a")...)
	atMinute(30)
	w.setSchedule("m", glassq.ScheduleChange{Cron: everyMinute, Task: `{"queue":"due","body":1}`})
	atMinute(5)
	list, err := w.schedules().Schedules(w.Context())
	if err != nil || list[0].Waits == "" || list[0].Puts != 0 {
		w.Errorf("schedule with a full queue = %+v, %v; want why it waits", list, err)
	}
	w.want("due", "a")
	w.ok("Purge", func() error { _, err := w.store().Purge(w.Context(), "due"); return err }())
	w.held("due", 0, 0, 1, 0)
	w.drain("due")
	time.Sleep(5 * time.Second)
	ids := w.due()
	if len(ids) != 1 {
		w.Errorf("a schedule with room again has put %q; want one task", ids)
	}
}

func scheduleSurvives(w *world, end func()) {
	atMinute(30)
	for name, missed := range map[string]string{"a": glassq.MissedAll, "n": glassq.MissedNone, "o": ""} {
		w.setSchedule(name, glassq.ScheduleChange{Cron: everyMinute, Missed: missed,
			Task: glassq.Envelope(`{"queue":"due","body":"` + name + `"}`)})
	}
	end()
	atMinute(30)
	end()
	time.Sleep(time.Second) // one that was not due before has what became due
	w.wantDue("after a minute", dueID("a", 0), dueID("n", 0), dueID("o", 0))
	end()
	w.wantDue("once more")
	atMinute(0)
	end()
	atMinute(1)
	w.due()
	end()
	time.Sleep(time.Second)
	w.wantDue("after all was taken")
	list, err := w.schedules().Schedules(w.Context())
	if err != nil || len(list) != 3 || list[0].Puts != list[1].Puts || list[0].Puts != list[2].Puts || list[0].Lost != 0 {
		w.Errorf("Schedules = %+v, %v; want three that have put as many", list, err)
	}
}
