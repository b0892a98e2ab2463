package cron

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

func TestNext(t *testing.T) {
	tests := []struct {
		name, cron, zone, after string
		want                    []string // UTC
	}{
		{"every five minutes", "*/5 * * * *", "", "2026-11-29T10:02:00Z", []string{"2026-11-29T10:05:00Z", "2026-11-29T10:10:00Z"}},
		{"a due moment is over", "5 * * * *", "", "2026-11-29T10:05:00Z", []string{"2026-11-29T11:05:00Z"}},
		{"in a zone", "30 8 * * *", "Europe/Berlin", "2026-11-29T00:00:00Z", []string{"2026-11-29T07:30:00Z", "2026-11-30T07:30:00Z"}},
		{"either day", "0 0 13 * FRI", "", "2026-11-01T00:00:00Z", []string{"2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z",
			"2026-11-20T00:00:00Z"}},
		{"the 29th of February", "0 0 29 2 *", "", "2097-01-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
		{"a word", "@daily", "Asia/Shanghai", "2026-11-29T00:00:00Z", []string{"2026-11-29T16:00:00Z"}},
		// Berlin: at 02:00 on 2026-03-29 it is 03:00, at 03:00 on 2026-10-25 it is 02:00.
		{"the night without half past two", "30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}},
		{"the night without two o'clock", "0,20 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
			[]string{"2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z", "2026-03-30T00:00:00Z"}},
		// Lord Howe: at 02:00 on 2026-04-05 it is 01:30.
		{"a night that is half an hour longer", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z",
			[]string{"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
		// Santiago: at 00:00 on 2026-09-06 it is 01:00.
		{"the night without midnight", "0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z",
			[]string{"2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"}},
		{"every half hour in that night", "*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z",
			[]string{"2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"}},
		{"the night with two half past twos", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
			[]string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"every half hour in that night", "*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z",
			[]string{"2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"}},
		{"several hours in that night", "0 1-3 * * *", "Europe/Berlin", "2026-10-24T22:30:00Z",
			[]string{"2026-10-24T23:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Parse(tt.cron, tt.zone, at)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range tt.want {
				at = s.Next(at)
				got = append(got, at.Format(time.RFC3339))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s in %q after %s is due %q; want %q", tt.cron, tt.zone, tt.after, got, tt.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ name, cron, zone, says string }{
		{"the 30th of February", "0 0 30 2 *", "", "never due"},
		{"four fields", "0 0 1 2", "", "five fields"},
		{"six fields", "0 0 0 1 2 *", "", "five fields"},
		{"an hour too late", "0 24 * * *", "", "five fields"},
		{"nothing", "", "", "five fields"},
		{"a zone that is not there", "0 0 * * *", "Europe/Atlantis", "is not known"},
		{"the last day", "0 0 L * *", "", "none of L, W, H and # is known here"},
		{"the second Monday", "0 0 * * 1#2", "", "none of L, W, H and # is known here"},
		{"no number", "0 0 * * 5L", "", `"5L" is neither a number nor a name there; it has five fields`},
		{"the server's zone", "0 0 * * *", "Local", "differs from server to server"},
		{"a path for a zone", "0 0 * * *", "../../etc/passwd", "is not known"},
		{"a zone in the text", "TZ=UTC 0 0 * * *", "", "a member of its own"},
		{"an interval", "@every 5m", "", "*/5"},
	} {
		_, err := Parse(tt.cron, tt.zone, time.UnixMilli(1_790_000_000_000))
		if glassq.CodeOf(err) != glassq.CodeBadRequest || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want bad_request with %q", tt.name, err, tt.says)
		}
	}
}
