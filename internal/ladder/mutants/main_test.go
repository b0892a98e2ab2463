package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPatchesApply: every seeded bug can still be made. Whether the ladder catches it, make mutants
// says.
func TestPatchesApply(t *testing.T) {
	patches, err := filepath.Glob("*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("no patches (%v)", err)
	}
	for _, patch := range patches {
		check := exec.Command("git", "apply", "--check", "--recount", filepath.Join("internal/ladder/mutants", patch))
		check.Dir = filepath.Join("..", "..", "..")
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", patch, err, out)
		}
	}
}
