package door

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/audit"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/rights"
)

// TestVerbsAreAudited: each verb that the table says is audited is one line, done or refused. The
// doors do some themselves, by Store.Do.
func TestVerbsAreAudited(t *testing.T) {
	ofDoors := []rights.Verb{rights.VerbShutdown, rights.VerbReload, rights.VerbResetStats}
	ctx := t.Context()
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	under := broker.New(e, glassq.Limits{})
	calls := map[rights.Verb][]func(Store) error{
		rights.VerbImport:    {func(s Store) error { _, err := s.Import(ctx, "q", []glassq.Task{{Queue: "q"}}); return err }},
		rights.VerbConfigure: {func(s Store) error { _, err := s.Configure(ctx, "q", glassq.SettingsChange{}); return err }},
		rights.VerbPurge: {
			func(s Store) error { _, err := s.Purge(ctx, "q"); return err },
			func(s Store) error { _, err := s.PurgeSome(ctx, "q", glassq.DeadFilter{Run: "r"}); return err }},
		rights.VerbPurgeAll: {func(s Store) error { _, err := s.PurgeAll(ctx); return err }},
		rights.VerbRedrive: {
			func(s Store) error { _, err := s.Redrive(ctx, "q", 1); return err },
			func(s Store) error { _, err := s.RedriveSome(ctx, "q", glassq.DeadFilter{Run: "r"}); return err }},
		rights.VerbReleaseKey: {func(s Store) error { return s.ReleaseKey(ctx, "q", "k") }},
		rights.VerbDrop:       {func(s Store) error { return s.Drop(ctx, "q") }},
		rights.VerbSetRun:     {func(s Store) error { _, err := s.SetRun(ctx, "r", glassq.RunChange{}); return err }},
		rights.VerbCancelRun:  {func(s Store) error { _, err := s.CancelRun(ctx, "r"); return err }},
		rights.VerbDropRun:    {func(s Store) error { return s.DropRun(ctx, "r") }},
		rights.VerbSetSchedule: {func(s Store) error {
			_, err := s.SetSchedule(ctx, "s", glassq.ScheduleChange{Cron: "@daily", Task: `{"queue":"q","body":1}`})
			return err
		}},
		rights.VerbDropSchedule: {func(s Store) error { return s.DropSchedule(ctx, "s") }},
		rights.VerbBackup: {
			func(s Store) error { return s.Archive(ctx, io.Discard) },
			func(s Store) error { return s.Copy(ctx, func(string, int64, io.Reader) error { return io.EOF }) }},
	}
	for v := range rights.Rules {
		verb := rights.Verb(v)
		rule := &rights.Rules[v]
		if rule.Audit == "" || slices.Contains(ofDoors, verb) {
			continue
		}
		if calls[verb] == nil {
			t.Errorf("%q is audited as %s, and nothing here does it", rule.Does, rule.Audit)
		}
		for _, may := range []string{"admin,put", "read"} {
			for i, call := range calls[verb] {
				a, text := held(t, rights.Token{May: strings.Split(may, ","), Queues: rights.Patterns{"*"}})
				who, err := a.WithKey(text)
				if err != nil {
					t.Fatal(err)
				}
				var heard []audit.Entry
				frame := Frame{Access: a, Audit: audit.New(audit.Options{Heard: func(_ context.Context, e *audit.Entry) {
					heard = append(heard, *e)
				}})}
				err = call(NewStore(under, who, Client{Frame: &frame, Door: "http"}))
				forbidden := glassq.CodeOf(err) == glassq.CodeForbidden
				if forbidden != (may == "read") { // there may be nothing to do it with
					t.Errorf("%s %d with %s: %v", rule.Audit, i, may, err)
				}
				if len(heard) != 1 || heard[0].Action != rule.Audit || heard[0].Outcome != outcomeOf(err) || heard[0].Who != "ci" {
					t.Errorf("%s %d with %s: the audit heard %+v", rule.Audit, i, may, heard)
				}
			}
		}
	}
}
