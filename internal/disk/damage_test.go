package disk_test

import (
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal"
)

// TestDamagedBody: a body that rotted on the disk is never handed out. Its task is kept dead, with file
// and byte as the reason, and the tasks behind it are served.
func TestDamagedBody(t *testing.T) {
	fs := wal.MemFS()
	opt := disk.Options{FS: fs, CacheBytes: 1}
	e, err := disk.Open("", opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"good one", "ROTTEN", "good two"} {
		if err := putOne(t, e, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil { // with a checkpoint, so that the start does not read the bodies
		t.Fatal(err)
	}
	if e, err = disk.Open("", opt); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	rot(t, fs, "ROTTEN")
	var got []string
	var damage error
	for range 5 {
		leases, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
		if err != nil {
			damage = err
		}
		for _, l := range leases {
			got = append(got, string(l.Body))
		}
	}
	if strings.Join(got, ",") != "good one,good two" {
		t.Errorf("handed out %q", got)
	}
	if glassq.CodeOf(damage) != glassq.CodeDamaged || !strings.Contains(damage.Error(), "segment-") || !strings.Contains(damage.Error(), "byte ") {
		t.Errorf("the reserve of the rotten one = %v; want damaged, with file and byte", damage)
	}
	dead, _, err := e.Peek(t.Context(), "q", glassq.Dead, 0, 10)
	if err != nil || len(dead) != 1 || !strings.Contains(dead[0].Reason, "byte ") {
		t.Errorf("dead = %+v, %v; want the rotten task and where it lies", dead, err)
	}
}

// rot flips a bit of text wherever it lies in a segment.
func rot(t *testing.T, fs wal.FS, text string) {
	t.Helper()
	names, _ := fs.List()
	found := false
	for _, name := range names {
		if !strings.HasPrefix(name, "segment-") {
			continue
		}
		f, err := fs.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := f.Size()
		data := make([]byte, size)
		f.ReadAt(data, 0)
		if i := strings.Index(string(data), text); i >= 0 {
			found = true
			f.WriteAt([]byte{data[i] ^ 4}, int64(i))
		}
		f.Close()
	}
	if !found {
		t.Fatalf("no %q in any segment", text)
	}
}
