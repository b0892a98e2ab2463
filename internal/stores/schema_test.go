package stores_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/schema"
)

// TestOldSchema: a broker that knows an older result schema than the engine neither refuses nor
// stores a result by it, and compiles the new one once.
func TestOldSchema(t *testing.T) {
	old, now, none := glassq.Schema(`{"required":["old"]}`), glassq.Schema(`{"required":["new"]}`), glassq.Schema("")
	for _, tt := range []struct {
		name       string
		then       *glassq.Schema
		body       string
		want       glassq.Code // "" for stored
		noCompiler bool
	}{
		{"agrees with the old one only", &now, `{"old":1}`, glassq.CodeSchema, false},
		{"agrees with the new one only", &now, `{"new":1}`, "", false},
		{"the schema is gone", &none, `{}`, "", false},
		{"the schema stands", nil, `{"old":1}`, "", false},
		{"a broker that compiles none", &now, `{"new":1}`, glassq.CodeUnsupported, true},
	} {
		for _, alone := range []bool{false, true} {
			name := map[bool]string{false: ", by token", true: ", by number"}[alone]
			t.Run(tt.name+name, func(t *testing.T) {
				ctx := t.Context()
				e, err := disk.Open("mem:", disk.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				other, err := broker.NewWithSchemas(ctx, e, glassq.Limits{}, schema.Compile)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := other.Configure(ctx, "q", glassq.SettingsChange{ResultSchema: &old}); err != nil {
					t.Fatal(err)
				}
				var compiled atomic.Int32
				b := broker.New(e, glassq.Limits{})
				if !tt.noCompiler {
					b, err = broker.NewWithSchemas(ctx, e, glassq.Limits{}, func(text string) (func([]byte) error, error) {
						compiled.Add(1)
						return schema.Compile(text)
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				if tt.then != nil {
					if _, err := other.Configure(ctx, "q", glassq.SettingsChange{ResultSchema: tt.then}); err != nil {
						t.Fatal(err)
					}
				}
				const tasks = 6
				for range tasks {
					if _, err := b.Put(ctx, []glassq.Task{{Queue: "q"}}); err != nil {
						t.Fatal(err)
					}
				}
				leases, err := b.Reserve(ctx, glassq.Reserve{Queue: "q", Max: tasks})
				if err != nil || len(leases) != tasks {
					t.Fatalf("%d leases, %v", len(leases), err)
				}
				for i, l := range leases {
					ack := glassq.Ack{Token: l.Token(), Result: &glassq.Task{Body: []byte(tt.body), Type: glassq.TypeJSON}}
					if alone {
						ack.Token.Queue = ""
					}
					if i%2 == 1 {
						err = b.AckWait(ctx, ack, -1)
					} else {
						var errs []error
						if errs, err = b.Ack(ctx, []glassq.Ack{ack}); err == nil {
							err = errs[0]
						}
					}
					if tt.want == "" && err != nil || tt.want != "" && glassq.CodeOf(err) != tt.want {
						t.Fatalf("ack %d = %v, want code %q", i, err, tt.want)
					}
					if _, ok := errors.AsType[*glassq.UncheckedError](err); ok {
						t.Fatalf("ack %d is told what is between broker and engine: %v", i, err)
					}
				}
				if n := compiled.Load(); n > 2 {
					t.Errorf("schemas were compiled %d times; want once each", n)
				}
			})
		}
	}
}
