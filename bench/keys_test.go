package main

import (
	"testing"
	"time"
)

// TestKeys: suite keys works, with little of everything. Its figures mean nothing here.
func TestKeys(t *testing.T) {
	defer func(was float64) { *seconds = was }(*seconds)
	*seconds = 0.1
	k := &keysBench{bench: &bench{ctx: t.Context(), dir: t.TempDir()}, quiet: 100, workers: 4, atOnce: 10}
	k.shrink(200 * time.Millisecond)
	k.tasks, k.idle = 5000, 2000
	if err := k.inProcess(); err != nil {
		t.Fatal(err)
	}
	if err := keysFill(t.Context(), t.TempDir(), 20_000); err != nil {
		t.Fatal(err)
	}
}
