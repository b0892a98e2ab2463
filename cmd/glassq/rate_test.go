package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glassq/glassq/internal/report"
)

// frozenTarget is a web server that stops answering for a time at its n-th request.
func frozenTarget(t *testing.T, n int64, freeze time.Duration) string {
	var asked atomic.Int64
	var frozen sync.RWMutex
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if asked.Add(1) == n {
			frozen.Lock()
			time.AfterFunc(freeze, frozen.Unlock)
		}
		frozen.RLock() // those who come while it is frozen wait here
		defer frozen.RUnlock()
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// A target that freezes must not make the figures better: the tasks that were due meanwhile are
// late, and what of the schedule is not made good is said, by run and by an output that comes when
// all is over.
func TestFrozenTarget(t *testing.T) {
	t.Parallel()
	const freeze = 2 * time.Second
	dir := t.TempDir()
	check := func(what, errs, summary string, catchup bool) {
		t.Helper()
		b, err := os.ReadFile(summary)
		if err != nil {
			t.Fatal(err)
		}
		var d report.Document
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatal(err)
		}
		if d.Rate.Asked != 250 || d.Due.Max < 1.8 || d.Due.P99 < 1.5 {
			t.Errorf("%s: rate asked %v, due p99 %v, max %v; want 250 and the freeze in both", what, d.Rate.Asked, d.Due.P99,
				d.Due.Max)
		}
		if (d.Rate.GivenUp == 0) != catchup {
			t.Errorf("%s: %d given up", what, d.Rate.GivenUp)
		}
		for _, want := range []string{"rate asked 250/s, reached ", "due to done p50 ", "p99 "} {
			if !strings.Contains(errs, want) {
				t.Errorf("%s said\n%s; want %q", what, errs, want)
			}
		}
		if strings.Contains(errs, "of the schedule were given up") == catchup {
			t.Errorf("%s said\n%s", what, errs)
		}
	}
	tests := []struct {
		name  string
		args  []string
		code  int
		again bool
	}{
		{"given up", []string{"--fail-if", "due.p50>1h"}, exitThreshold, false},
		{"caught up with", []string{"--fail-if", "due.p50>1h", "--catchup", "1m"}, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			summary := filepath.Join(dir, tt.name+".json")
			_, errs, code := invoke(t, "", nil, append([]string{"run", frozenTarget(t, 50, freeze) + "/{0}", "-n", "400",
				"--rate", "250", "-c", "4", "--summary-out", summary}, tt.args...)...)
			if code != tt.code {
				t.Errorf("exit %d, want %d: %s", code, tt.code, errs)
			}
			check("run", errs, summary, tt.again)
		})
	}
	t.Run("output", func(t *testing.T) {
		t.Parallel()
		server := "http://" + start(t, nil, "serve", "--data", t.TempDir(), "--http", "127.0.0.1:0").addr()
		start(t, nil, "work", "http", "-c", "4", "--server", server)
		if _, errs, code := invoke(t, "", nil, "dispatch", frozenTarget(t, 50, freeze)+"/{0}", "-n", "400", "--rate", "250",
			"--run", "r", "--wait", "--server", server); code != 0 {
			t.Fatalf("dispatch: exit %d: %s", code, errs)
		}
		summary := filepath.Join(dir, "output.json")
		_, errs, code := invoke(t, "", nil, "output", "--run", "r", "--format", "none", "--summary-out", summary,
			"--fail-if", "due.p50>1h", "--server", server)
		if code != exitThreshold {
			t.Errorf("exit %d, want %d: %s", code, exitThreshold, errs)
		}
		check("output", errs, summary, false)
	})
}
