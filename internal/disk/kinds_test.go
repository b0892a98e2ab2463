package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
)

var smallSegments = disk.Options{SegmentSize: 8 << 10, MinFree: disk.Watermark{Bytes: -1}}

// worn makes a store with several segments and checkpoints, tasks that were done, and bodies in
// every segment. Frames follow the newest checkpoint when it is not stopped cleanly.
func worn(t *testing.T, clean bool) (dir string, tasks int) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "d")
	e, err := disk.Open(dir, smallSegments)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 24 {
		body := fmt.Sprintf("body-%02d %s", i, strings.Repeat("x", 1200))
		tasks++
		task := glassq.Task{Queue: "q", Body: []byte(body), Run: "r", Dense: true, Position: uint32(i)}
		if _, err := e.Put(t.Context(), []glassq.Task{task}); err != nil {
			t.Fatal(err)
		}
		if i == 8 || i == 15 {
			if err := e.Checkpoint(nil); err != nil {
				t.Fatal(err)
			}
		}
		if i%6 == 5 {
			l, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
			if err != nil {
				t.Fatal(err)
			}
			if errs, err := e.Ack(t.Context(), []glassq.Ack{{Token: l[0].Token()}}); err != nil || errs[0] != nil {
				t.Fatal(errs, err)
			}
			tasks--
		}
	}
	if clean {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		return dir, tasks
	}
	at := dir + ".killed" // as a kill leaves it
	err = os.CopyFS(at, os.DirFS(dir))
	for errors.Is(err, os.ErrNotExist) { // a checkpoint got its name meanwhile; there is only one under way
		err = errors.Join(os.RemoveAll(at), os.CopyFS(at, os.DirFS(dir)))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return at, tasks
}

// inLast is how many tasks the last segment has: cleaning may have it begin earlier or later.
func inLast(t *testing.T, dir string) int {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "segment-*"))
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	b, err := os.ReadFile(list[len(list)-1])
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte("body-"))
}

// TestKindsOfDamage: whatever is damaged, a start, repair and salvage agree: what a start refuses,
// repair says to be refused, and names; what repair says can be salvaged, is; the outcome starts,
// whole; it has nothing that was not put, and what is not named as lost is there.
func TestKindsOfDamage(t *testing.T) {
	foreign, _ := worn(t, true)
	named := func(pattern string, which int, do func(name string) error) func(t *testing.T, dir string) error {
		return func(t *testing.T, dir string) error {
			list, err := filepath.Glob(filepath.Join(dir, pattern))
			// A kill may come in the middle of a checkpoint; what a start removes is no kind of damage.
			list = slices.DeleteFunc(list, func(name string) bool { return strings.HasSuffix(name, ".tmp") })
			if err != nil || len(list) < 2 && pattern != "format" {
				t.Fatalf("%s is %q, %v", pattern, list, err)
			}
			return do(list[(which+len(list))%len(list)])
		}
	}
	edit := func(do func(b []byte)) func(string) error {
		return func(name string) error {
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			do(b)
			return os.WriteFile(name, b, 0o600)
		}
	}
	type kind struct {
		name  string
		spoil func(t *testing.T, dir string) error
	}
	var kinds []kind
	each := func(what, pattern string, which []int, do func(name string) error) {
		for _, k := range which {
			kinds = append(kinds, kind{fmt.Sprintf("%s %d of %s", what, k, pattern), named(pattern, k, do)})
		}
	}
	const segments, points = "segment-*", "checkpoint-*"
	each("remove", segments, []int{0, 1, 2, -2, -1}, os.Remove)
	each("remove", points, []int{0, -1}, os.Remove)
	each("remove", "format", []int{0}, os.Remove)
	for _, size := range []int64{0, 100, 4096, 4200, 6000} {
		cut := func(name string) error { return os.Truncate(name, size) }
		each(fmt.Sprint("cut to ", size), segments, []int{0, 1, -2, -1}, cut)
		if size < 4200 {
			each(fmt.Sprint("cut to ", size), points, []int{0, -1}, cut)
			each(fmt.Sprint("cut to ", size), "format", []int{0}, cut)
		}
	}
	for _, at := range []int{40, 2050, 4100, 4160, 5500} {
		each(fmt.Sprint("flip at ", at), segments, []int{0, 1, -1}, edit(func(b []byte) { b[min(at, len(b)-1)] ^= 4 }))
	}
	for _, x := range [][2]int{{0, 4096}, {4096, 4160}, {4096, 1 << 20}, {5000, 5600}, {2048, 2080}} {
		each(fmt.Sprint("zeros at ", x), segments, []int{0, 1, -1},
			edit(func(b []byte) { clear(b[min(x[0], len(b)):min(x[1], len(b))]) }))
	}
	each("flip in", points, []int{0, -1}, edit(func(b []byte) { b[len(b)/2] ^= 1 }))
	each("flip a digit in", "format", []int{0}, edit(func(b []byte) {
		b[len(b)-2] = map[bool]byte{true: '1', false: '0'}[b[len(b)-2] == '0']
	}))
	all := func(pattern string) func(*testing.T, string) error {
		return func(t *testing.T, dir string) error {
			list, err := filepath.Glob(filepath.Join(dir, pattern))
			for _, name := range list {
				err = errors.Join(err, os.Remove(name))
			}
			return err
		}
	}
	both := func(some ...func(*testing.T, string) error) func(*testing.T, string) error {
		return func(t *testing.T, dir string) (err error) {
			for _, do := range some {
				err = errors.Join(err, do(t, dir))
			}
			return err
		}
	}
	first, last := named(segments, 0, os.Remove), named(segments, -1, os.Remove)
	second := named(segments, 1, os.Remove)
	kinds = append(kinds, []kind{
		{"nothing", func(*testing.T, string) error { return nil }},
		{"no checkpoint", all(points)},
		{"no checkpoint, first segment gone", both(all(points), first)},
		{"no checkpoint, second segment gone", both(all(points), second)},
		{"no checkpoint, last segment gone", both(all(points), last)},
		{"no checkpoint, no format, first segment gone", both(all(points), all("format"), first)},
		{"no segment", all(segments)},
		{"no segment, no format", both(all(segments), all("format"))},
		{"format alone", both(all(segments), all(points))},
		{"first, second and last segment gone", both(first, first, last)},
		{"a segment of another log", named(segments, 1, func(name string) error {
			list, _ := filepath.Glob(filepath.Join(foreign, segments))
			b, err := os.ReadFile(list[1])
			return errors.Join(err, os.WriteFile(name, b, 0o600))
		})},
		{"two segments change their names", func(t *testing.T, dir string) error {
			list, _ := filepath.Glob(filepath.Join(dir, segments))
			return errors.Join(os.Rename(list[0], dir+".x"), os.Rename(list[1], list[0]), os.Rename(dir+".x", list[1]))
		}},
		{"a checkpoint of another log", named(points, -1, func(name string) error {
			list, _ := filepath.Glob(filepath.Join(foreign, points))
			b, err := os.ReadFile(list[len(list)-1])
			return errors.Join(err, os.WriteFile(name, b, 0o600))
		})},
	}...)
	for _, clean := range []bool{true, false} {
		made, tasks := worn(t, clean)
		var refused atomic.Int32
		t.Run(fmt.Sprintf("stopped cleanly %v", clean), func(t *testing.T) {
			for i, tt := range kinds {
				if !clean && i%2 == 1 && strings.HasPrefix(tt.name, "flip") {
					continue // there are many
				}
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel() // most of the time goes to syncs
					dir := filepath.Join(t.TempDir(), "d")
					if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
						t.Fatal(err)
					}
					if err := tt.spoil(t, dir); err != nil {
						t.Fatal(err)
					}
					kept := tasks
					if !clean { // nothing proves that the last frame was durable, and of zeros nothing that there were frames
						kept -= 1
						if strings.HasPrefix(tt.name, "zeros at [4096 1048576] -1") {
							kept -= 6
						}
						if strings.HasPrefix(tt.name, "remove -1 of segment") || strings.HasSuffix(tt.name, "last segment gone") {
							kept -= max(inLast(t, made)-1, 0) // nor of a last segment that is gone
						}
					}
					if !agree(t, dir, kept) {
						refused.Add(1)
					}
				})
			}
		})
		t.Logf("%d of %d kinds of damage are refused by a start", refused.Load(), len(kinds))
		if int(refused.Load()) < len(kinds)/3 {
			t.Error("the test sees nothing")
		}
	}
}

// agree holds a start, repair and salvage of a damaged folder to each other, and tells whether it
// starts. A start has at least kept tasks.
func agree(t *testing.T, dir string, kept int) (starts bool) {
	t.Helper()
	before := contents(t, dir)
	s, err := disk.Repair(dir, false)
	if err != nil {
		t.Fatalf("repair = %v", err)
	}
	if after := contents(t, dir); after != before && !strings.Contains(after, "LOCK") {
		t.Errorf("repair changed the folder:\n%s\nwas:\n%s", after, before)
	}
	tried := dir + ".tried"
	if err := os.CopyFS(tried, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	e, err := disk.Open(tried, smallSegments)
	if (err == nil) != (s.Refusal == nil) || err != nil && glassq.CodeOf(err) != glassq.CodeDamaged {
		t.Fatalf("start = %v; repair says that a start says: %v", err, s.Refusal)
	}
	if starts = err == nil; starts {
		hold(t, e, kept)
	}
	if s.Cannot != nil {
		t.Fatalf("it cannot be salvaged: %v", s.Cannot)
	}
	lost := int(s.Lost)
	again := 0
	for _, n := range s.Again {
		again += n
	}
	s, err = disk.Repair(dir, true)
	if err != nil || (s.Kept == "") != s.Whole() {
		t.Fatalf("salvage = %+v, %v", s, err)
	}
	if s.Whole() {
		return starts
	}
	if e, err = disk.Open(dir, smallSegments); err != nil {
		t.Fatalf("start on what was salvaged = %v", err)
	}
	atLeast := again - s.Refused - lost
	for _, q := range s.Queues {
		atLeast += int(q.Ready)
	}
	hold(t, e, atLeast)
	if s, err := disk.Repair(dir, false); err != nil || s.Refusal != nil {
		t.Errorf("repair of what was salvaged = %+v, %v", s, err)
	}
	return starts
}

// hold checks that a store has at least so many tasks, handed out or dead, and hands out none that
// was not put. It closes the store.
func hold(t *testing.T, e *disk.Engine, atLeast int) {
	t.Helper()
	defer e.Close()
	got, dead := 0, int64(0)
	for {
		leases, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
		if err != nil && glassq.CodeOf(err) != glassq.CodeDamaged {
			t.Fatal(err)
		}
		q, qerr := e.Queues(t.Context())
		if qerr != nil {
			t.Fatal(qerr)
		}
		i := slices.IndexFunc(q, func(q glassq.QueueInfo) bool { return q.Name == "q" })
		if i >= 0 {
			dead = q[i].Dead
		}
		if len(leases) == 0 && (i < 0 || q[i].Ready == 0) {
			break
		}
		for _, l := range leases {
			if got++; len(l.Body) != 1208 || !bytes.HasPrefix(l.Body, []byte("body-")) {
				t.Errorf("a body of %d bytes, %.20q, was handed out", len(l.Body), l.Body)
			}
		}
	}
	if got+int(dead) < atLeast {
		t.Errorf("%d tasks were handed out and %d are dead; want %d", got, dead, atLeast)
	}
}
