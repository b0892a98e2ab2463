package worker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// TestDo: what the function returns decides how the task ends.
func TestDo(t *testing.T) {
	const rest = `"rt":1,"t":946684800,"a":1`
	tests := []struct {
		name   string
		value  any
		err    error
		ends   bool // the worker's end comes, and its grace is over, while the function is at work
		result string
		stats  Stats
		nack   glassq.Nack
	}{
		{name: "a value", value: map[string]int{"pages": 3},
			result: `{"i":"0","o":{"ok":1,` + rest + `,"v":{"pages":3}}}`, stats: Stats{Done: 1, OK: 1}},
		{name: "nothing", result: `{"i":"0","o":{"ok":1,` + rest + `}}`, stats: Stats{Done: 1, OK: 1}},
		{name: "a nil pointer", value: (*int)(nil),
			result: `{"i":"0","o":{"ok":1,` + rest + `}}`, stats: Stats{Done: 1, OK: 1}},
		{name: "an error", value: 7, err: errors.New("no such page"),
			result: `{"i":"0","o":{"ok":0,"rt":1,"err":"error","msg":"no such page","t":946684800,"a":1}}`,
			stats:  Stats{Done: 1, Failed: 1}},
		{name: "a long error", err: errors.New(strings.Repeat("x", 5000)),
			result: `{"i":"0","o":{"ok":0,"rt":1,"err":"error","msg":"` + strings.Repeat("x", glassq.MaxReason) +
				`","t":946684800,"a":1}}`, stats: Stats{Done: 1, Failed: 1}},
		{name: "a value that is no JSON", value: math.Inf(1),
			result: `{"i":"0","o":{"ok":0,"rt":1,"err":"error","msg":"json: unsupported value: +Inf","t":946684800,"a":1}}`,
			stats:  Stats{Done: 1, Failed: 1}},
		{name: "again", err: fmt.Errorf("ask: %w", &NackError{Delay: time.Minute, Err: errors.New("busy")}),
			stats: Stats{Nacked: 1}, nack: glassq.Nack{Delay: time.Minute, Reason: "ask: busy"}},
		{name: "dead", err: &NackError{Dead: true}, stats: Stats{Nacked: 1},
			nack: glassq.Nack{Dead: true, Reason: "given back"}},
		{name: "no files", err: syscall.EMFILE, stats: Stats{Nacked: 1},
			nack: glassq.Nack{Undone: true, Delay: time.Second, Reason: syscall.EMFILE.Error()}},
		{name: "the end", err: errors.New("half done"), ends: true,
			stats: Stats{Undone: 2}, nack: glassq.Nack{Undone: true}}, // memQueue hands it out once more
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newMemQueue(1)
				ctx, cancel := context.WithCancel(t.Context())
				opt := Options{Drain: time.Hour}
				if tt.ends {
					opt.Drain = -1
				}
				stats, err := Do(ctx, q, opt, func(ctx context.Context, l *glassq.Lease) (any, error) {
					cancel()
					if tt.ends {
						<-ctx.Done()
					} else {
						time.Sleep(time.Second)
					}
					return tt.value, tt.err
				})
				if err != nil || stats != tt.stats {
					t.Errorf("Do = %+v, %v; want %+v", stats, err, tt.stats)
				}
				if got := strings.Join(q.results, "\n"); got != tt.result {
					t.Errorf("result = %s\nwant %s", got, tt.result)
				}
				var nack glassq.Nack
				for _, nack = range q.nacks {
					nack.Token = glassq.Token{}
				}
				if nack != tt.nack {
					t.Errorf("nack = %+v, want %+v", nack, tt.nack)
				}
			})
		})
	}
}
