//go:build unix

package whole

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOwner: root changes a file of a service, as `glassq token revoke` does, and the service can read it still.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, who may give a file away")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "tokens")
	const service = 4711
	if err := os.WriteFile(path, []byte("a token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, service, service); err != nil {
		t.Fatal(err)
	}
	beside := path + ".manager"
	if err := errors.Join(Write(path, dir, nil, 0o600), WriteLike(path, beside, dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, beside} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if is := info.Sys().(*syscall.Stat_t); is.Uid != service || is.Gid != service || info.Mode() != 0o600 {
			t.Errorf("%s is of %d:%d with %v; want %d:%d with 0600", path, is.Uid, is.Gid, info.Mode(), service, service)
		}
	}
	if err := errors.Join(os.Chmod(dir, 0o777|os.ModeSticky), Write(path, dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("what root writes into a folder of everyone is given away: %v, %v", info, err)
	}
}
