package disk_test

import (
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/state"
	"github.com/glassq/glassq/internal/wal"
)

// TestDamagedBody: a body that rotted on the disk is never handed out. Its task is kept dead, with
// file and byte as the reason, and the tasks behind it are served.
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
	if glassq.CodeOf(damage) != glassq.CodeDamaged || !strings.Contains(damage.Error(), "segment-") ||
		!strings.Contains(damage.Error(), "byte ") {
		t.Errorf("the reserve of the rotten one = %v; want damaged, with file and byte", damage)
	}
	dead, _, err := e.Peek(t.Context(), "q", glassq.Dead, 0, 10)
	if err != nil || len(dead) != 1 || !strings.Contains(dead[0].Reason, "byte ") {
		t.Errorf("dead = %+v, %v; want the rotten task and where it lies", dead, err)
	}
}

// TestDamagedDead: a task that died of something else and rotted since is shown with where the
// damage is, and not as one with an empty body.
func TestDamagedDead(t *testing.T) {
	fs := wal.MemFS()
	opt := disk.Options{FS: fs, CacheBytes: 1}
	e, err := disk.Open("", opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := putOne(t, e, "ROTTEN"); err != nil {
		t.Fatal(err)
	}
	leases, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
	if err != nil || len(leases) != 1 {
		t.Fatalf("Reserve = %d leases, %v", len(leases), err)
	}
	if _, err := e.Nack(t.Context(), []glassq.Nack{{Token: leases[0].Token(), Dead: true,
		Reason: "no such host"}}); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	rot(t, fs, "ROTTEN")
	if e, err = disk.Open("", opt); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	dead, _, err := e.Peek(t.Context(), "q", glassq.Dead, 0, 10)
	if err != nil || len(dead) != 1 || !strings.HasPrefix(dead[0].Reason, "no such host; ") ||
		!strings.Contains(dead[0].Reason, "byte ") {
		t.Errorf("dead = %+v, %v; want its reason, and where it is damaged", dead, err)
	}
}

// TestMaxBytes: what a queue counts and what max_bytes refuses is the same: bodies with what they
// carry.
func TestMaxBytes(t *testing.T) {
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	most := int64(1000)
	if _, err := e.Configure(t.Context(), "q", glassq.SettingsChange{MaxBytes: &most}); err != nil {
		t.Fatal(err)
	}
	task := glassq.Task{Queue: "q", Body: []byte("x"), Headers: map[string]string{"traceparent": strings.Repeat("h", 600)}}
	for i, want := range []glassq.Code{"", glassq.CodeQueueFull} {
		if _, err := e.Put(t.Context(), []glassq.Task{task}); err != nil && glassq.CodeOf(err) != want || err == nil &&
			want != "" {
			t.Errorf("put %d of 600 bytes of headers into a queue of 1000 = %v; want code %q", i, err, want)
		}
	}
	q, err := e.Queues(t.Context(), "q")
	if err != nil || q[0].Bytes != state.Size(&task) {
		t.Errorf("the queue holds %d bytes, %v; want %d", q[0].Bytes, err, state.Size(&task))
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
