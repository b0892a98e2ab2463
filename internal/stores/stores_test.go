package stores_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/stores"
)

func open(t *testing.T, where string, opt stores.Options) *stores.Store {
	t.Helper()
	s, err := stores.Open(t.Context(), where, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestOpen(t *testing.T) {
	dir, taken := t.TempDir(), t.TempDir()
	open(t, taken, stores.Options{})
	ended, end := context.WithCancel(t.Context())
	end()
	for _, tt := range []struct {
		name, where string
		opt         stores.Options
		ctx         context.Context
		want        string // what Describe begins with, or what the error holds
		code        glassq.Code
	}{
		{"memory", stores.Memory, stores.Options{}, t.Context(), "data in memory", ""},
		{"a folder", dir, stores.Options{}, t.Context(), "data " + dir + ", sync always (a sync takes ", ""},
		{"a sync mode", dir, stores.Options{Sync: disk.SyncNever}, t.Context(), "data " + dir + ", sync never", ""},
		{"no sync mode", dir, stores.Options{Sync: "often"}, t.Context(), "sync mode", glassq.CodeBadRequest},
		{"no engine of that name", "etcd://x/y", stores.Options{}, t.Context(), "there is mem:, nats:",
			glassq.CodeBadRequest},
		{"a folder that is taken", taken, stores.Options{Patience: time.Millisecond}, t.Context(), "",
			glassq.CodeUnavailable},
		{"nobody waits any more", taken, stores.Options{Patience: time.Hour}, ended, "canceled", glassq.CodeInternal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := stores.Open(tt.ctx, tt.where, tt.opt)
			if tt.code != "" {
				if glassq.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("Open = %v; want code %s and %q", err, tt.code, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if got := s.Describe(); !strings.HasPrefix(got, tt.want) {
				t.Errorf("Describe = %q; want %q", got, tt.want)
			}
		})
	}
}

// TestSchemasOfAFolder: a store has the schemas that its queues had when it was closed, also behind
// what stands between.
func TestSchemasOfAFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, stores.Options{})
	number := glassq.Schema(`{"type":"number"}`)
	if _, err := s.Configure(t.Context(), "q", glassq.SettingsChange{TaskSchema: &number}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	s = open(t, dir, stores.Options{Between: func(under glassq.Store) glassq.Store { return counter{under, &seen} }})
	for body, want := range map[string]glassq.Code{`"text"`: glassq.CodeSchema, "1": ""} {
		_, err := s.Put(t.Context(), []glassq.Task{{Queue: "q", Type: glassq.TypeJSON, Body: []byte(body)}})
		if want == "" && err != nil || want != "" && glassq.CodeOf(err) != want {
			t.Errorf("put of %s = %v, want code %q", body, err, want)
		}
	}
	if seen != 1 {
		t.Errorf("what stands between saw %d puts; want the good one", seen)
	}
}

type counter struct {
	glassq.Store
	puts *int
}

func (c counter) Put(ctx context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	*c.puts++
	return c.Store.Put(ctx, tasks)
}

// TestFailure: what is said of a store that failed names the folder and what to do.
func TestFailure(t *testing.T) {
	s := open(t, stores.Memory, stores.Options{})
	over := s.Watch(func() { t.Error("a store that works has failed") })
	over()
	for next, want := range map[string]string{"": "mend the disk and start again", "go on": "mend the disk and go on"} {
		if err := s.Failure(next); !errors.Is(err, glassq.ErrStorage) || !strings.Contains(err.Error(), "mem:") ||
			!strings.HasSuffix(err.Error(), want) {
			t.Errorf("Failure(%q) = %v", next, err)
		}
	}
}

// away is a store that has no owner at first.
type away struct {
	glassq.Store
	asked int
}

func (a *away) Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error) {
	if a.asked++; a.asked < 100 {
		return nil, glassq.Errorf(glassq.CodeUnavailable, "no owner")
	}
	return a.Store.Queues(ctx, names...)
}

// TestOpenWaits: a start waits for the first owner of a store of several machines, however long it takes
// over, and ends with its context.
func TestOpenWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		between := func(e glassq.Store) glassq.Store { return &away{Store: e} }
		s, err := stores.Open(t.Context(), stores.Memory, stores.Options{Between: between})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = stores.Open(ctx, stores.Memory, stores.Options{Between: between})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("open = %v, want the end of its context", err)
		}
	})
}
