package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/glassq/glassq"
)

// A pickyQueue refuses batches that hold a task whose body says so.
type pickyQueue struct{ *fakeQueue }

func (q pickyQueue) Put(ctx context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	for i := range tasks {
		if code, bad := strings.CutPrefix(string(tasks[i].Body), "bad "); bad {
			return nil, glassq.Errorf(glassq.Code(code), "task %d: no", i+1)
		}
	}
	return q.fakeQueue.Put(ctx, tasks)
}

// Tasks that a queue refuses for good are passed over when somebody hears of them, and the run is
// sealed without them; else the first ends the run, by its name. Putting the same again changes
// nothing.
func TestRefusedTasks(t *testing.T) {
	var good []string
	for n := range 500 {
		good = append(good, fmt.Sprint("task ", n))
	}
	tests := []struct {
		name string
		at   map[int]string // what stands at a line
		want []string       // ids
	}{
		{"none", nil, nil},
		{"first, of each kind", map[int]string{0: "too_large", 1: "bad_request", 2: "schema_mismatch"},
			[]string{"r/0", "r/1", "r/2"}},
		{"last", map[int]string{499: "too_large"}, []string{"r/499"}},
		{"in the middle", map[int]string{99: "too_large", 100: "too_large", 370: "schema_mismatch"},
			[]string{"r/100", "r/370", "r/99"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := slices.Clone(good)
			for n, code := range tt.at {
				text[n] = "bad " + code
			}
			source := func() Source {
				s, err := NewLines(strings.NewReader("\n"+strings.Join(text, "\n")), LineOptions{Format: Text, Name: "list"})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			q := pickyQueue{newFake()}
			if len(tt.want) > 0 {
				_, err := Run(t.Context(), q, Options{Source: source(), Run: "r", Batch: 100})
				refused, ok := errors.AsType[*RefusedError](err)
				if !ok || !slices.Contains(tt.want, refused.ID) || !strings.HasPrefix(refused.Body, "bad ") || q.run.Sealed {
					t.Errorf("without Refused: %v, sealed %v; want an error that names one of %q", err, q.run.Sealed, tt.want)
				}
			}
			for range 2 {
				var mu sync.Mutex
				var ids []string
				rep, err := Run(t.Context(), q, Options{Source: source(), Run: "r", Batch: 100, Refused: func(e *RefusedError) {
					mu.Lock()
					defer mu.Unlock()
					ids = append(ids, e.ID)
					// The first line is empty, and lines are counted from 1.
					if _, pos, _ := glassq.ParseDenseID(e.ID); !strings.HasPrefix(e.Error(), fmt.Sprintf("list, line %d: task %s, ",
						pos+2, e.ID)) {
						t.Errorf("refused: %v; want its line", e)
					}
				}})
				slices.Sort(ids)
				n := uint64(500 - len(tt.want))
				if err != nil || !slices.Equal(ids, tt.want) || rep.Refused != uint64(len(tt.want)) || rep.Total != n ||
					!q.run.Sealed || q.run.Total != n || len(q.tasks) != int(n) {
					t.Errorf("%+v, %v, refused %q, %d tasks; want %q refused, and sealed with %d", rep, err, ids, len(q.tasks),
						tt.want, n)
				}
			}
		})
	}
}
