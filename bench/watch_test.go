package main

import (
	"path/filepath"
	"testing"
	"time"
)

// TestWatch: suite watch works, with little of everything. Its figures mean nothing here.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	b := &bench{ctx: t.Context(), dir: dir, glassq: filepath.Join(dir, "glassq")}
	if err := command("", nil, "go", "build", "-o", b.glassq, "github.com/glassq/glassq/cmd/glassq"); err != nil {
		t.Fatal(err)
	}
	w := &watch{bench: b, streams: 3}
	w.shrink(100 * time.Millisecond)
	if err := w.all(); err != nil {
		t.Fatal(err)
	}
}
