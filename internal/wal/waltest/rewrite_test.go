package waltest_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/glassq/glassq/internal/wal"
	"github.com/glassq/glassq/internal/wal/waltest"
)

func segmentFile(no uint64) string { return fmt.Sprintf("segment-%016x.log", no) }

// bodies reopens the log and returns what it holds.
func bodies(t *testing.T, fsys wal.FS) (l *wal.Log, got []string, err error) {
	t.Helper()
	l, err = wal.Open(fsys, wal.Options{SegmentSize: 8 << 10})
	if err != nil {
		return nil, nil, err
	}
	err = l.Replay(0, func(f wal.Frame) error {
		got = append(got, string(f.Payload))
		return nil
	})
	return l, got, err
}

func appendBody(t *testing.T, l *wal.Log, body string) {
	t.Helper()
	if err := l.Append(append(make([]byte, wal.HeaderSize), body...), 1, 1); err != nil {
		t.Fatalf("append %q: %v", body, err)
	}
}

func flip(t *testing.T, fsys wal.FS, name string, off int64) {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestSyncFailsThenLies: a sync fails and drops what it should have stored, though that
// reads well; later syncs of the file succeed. What a start then passes on must survive a
// power cut, without any further sync.
func TestSyncFailsThenLies(t *testing.T) {
	fsys := waltest.NewFS()
	l, _, err := bodies(t, fsys)
	if err != nil {
		t.Fatal(err)
	}
	appendBody(t, l, "synced")
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	fsys.FailSync(segmentFile(1))
	appendBody(t, l, "lied about")
	if err := l.Sync(); !errors.Is(err, wal.ErrFailed) {
		t.Fatalf("failed sync = %v", err)
	}
	select {
	case <-l.Failed():
	default:
		t.Error("Failed is not closed after a failed sync")
	}
	if err := l.Sync(); !errors.Is(err, wal.ErrFailed) {
		t.Errorf("second sync = %v, want the first one's error", err)
	}
	l.Close()

	fsys = fsys.Kill() // the system still has it in memory
	l, got, err := bodies(t, fsys)
	if err != nil || !slices.Equal(got, []string{"synced", "lied about"}) {
		t.Fatalf("start after the failure: %q, %v", got, err)
	}
	fsys = fsys.CrashAll()
	l.Close()
	if _, after, err := bodies(t, fsys); err != nil || !slices.Equal(after, got) {
		t.Fatalf("a power cut after the start left %q of %q, %v", after, got, err)
	}
}

// TestKilledThenPowerCut: the same without a fault: frames that nobody synced.
func TestKilledThenPowerCut(t *testing.T) {
	fsys := waltest.NewFS()
	l, _, err := bodies(t, fsys)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 12 { // over several segments
		want = append(want, strings.Repeat(string(rune('a'+i)), 1500))
		appendBody(t, l, want[i])
	}
	fsys = fsys.Kill()
	l.Close()
	l, got, err := bodies(t, fsys)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("start after a kill: %d frames of %d, %v", len(got), len(want), err)
	}
	fsys = fsys.CrashAll()
	l.Close()
	if _, after, err := bodies(t, fsys); err != nil || !slices.Equal(after, want) {
		t.Fatalf("a power cut after the start left %d frames of %d, %v", len(after), len(want), err)
	}
}

// TestTornThenPowerCut: half a frame behind the good ones is left out for good; what
// comes after in its place is not mixed with it.
func TestTornThenPowerCut(t *testing.T) {
	fsys := waltest.NewFS()
	l, _, err := bodies(t, fsys)
	if err != nil {
		t.Fatal(err)
	}
	appendBody(t, l, "good")
	fsys.FailWrite(segmentFile(1))
	if err := l.Append(append(make([]byte, wal.HeaderSize), strings.Repeat("torn", 200)...), 1, 1); !errors.Is(err, wal.ErrFailed) {
		t.Fatalf("failed write = %v", err)
	}
	fsys = fsys.Kill()
	l.Close()
	l, got, err := bodies(t, fsys)
	if err != nil || !slices.Equal(got, []string{"good"}) || l.Stats().TornBytes == 0 {
		t.Fatalf("start after half a write: %q, %v, %+v", got, err, l.Stats())
	}
	cut := fsys.CrashAll()
	l.Close()
	l, got, err = bodies(t, cut)
	if err != nil || !slices.Equal(got, []string{"good"}) || l.Stats().TornBytes != 0 {
		t.Fatalf("start after the power cut: %q, %v, %+v; want no torn bytes any more", got, err, l.Stats())
	}
	names, _ := cut.List()
	if !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "torn-") }) {
		t.Errorf("the torn bytes are not kept: %q", names)
	}
}

// TestRewriteAtEveryCall: whatever call of the rewrite is the last one before a power
// cut, all that was synced is there afterwards, and so is what was there at all once
// Replay has returned.
func TestRewriteAtEveryCall(t *testing.T) {
	life := func() *waltest.FS {
		fsys := waltest.NewFS()
		l, _, err := bodies(t, fsys)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			appendBody(t, l, strings.Repeat(string(rune('a'+i)), 600))
			if i == 6 {
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
			}
		}
		defer l.Close()
		return fsys.Kill()
	}
	calls := 0
	for n := 1; ; n++ {
		for seed := range uint64(6) {
			fsys := life()
			before := fsys.Calls()
			fsys.CrashAfter(n)
			l, got, err := bodies(t, fsys)
			calls = fsys.Calls() - before
			served := err == nil && len(got) == 8
			cut := fsys.Crash(seed)
			if l != nil {
				l.Close()
			}
			_, after, err := bodies(t, cut)
			if err != nil || len(after) < 7 || served && len(after) < 8 {
				t.Fatalf("crash after call %d, seed %d: %d frames of 8, 7 were synced, served: %v, %v", n, seed, len(after), served, err)
			}
			names, _ := cut.List()
			first := map[string]bool{}
			for _, name := range names {
				if strings.HasPrefix(name, "segment-") {
					first[name] = true
				}
			}
			if len(first) != 2 {
				t.Fatalf("crash after call %d, seed %d: segments %v, want the old first one and one more", n, seed, first)
			}
		}
		if calls < n {
			return
		}
	}
}

// TestCloseWitnesses: Close syncs before it leaves its mark, so that the mark speaks for
// every frame: a flipped bit in the last one is damage and not a torn tail.
func TestCloseWitnesses(t *testing.T) {
	fsys := waltest.NewFS()
	l, _, err := bodies(t, fsys)
	if err != nil {
		t.Fatal(err)
	}
	appendBody(t, l, "first")
	last := l.Next()
	appendBody(t, l, "never synced by its caller")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	fsys = fsys.CrashAll()
	flip(t, fsys, segmentFile(1), int64(last)+wal.HeaderSize)
	_, got, err := bodies(t, fsys)
	c, ok := errors.AsType[*wal.CorruptError](err)
	if !ok || c.From != last || c.File != segmentFile(1) {
		t.Fatalf("start with the last frame flipped = %q, %v; want damage at %d", got, err, last)
	}
}

// sealsLost is a log of several segments whose rolls' seals never reached the disk.
func sealsLost(t *testing.T) *waltest.FS {
	t.Helper()
	const seal = 2048
	disk := waltest.NewFS()
	l, _, err := bodies(t, waltest.Faulty(disk, func(c waltest.Call) error {
		if c.Op == "write" && c.Off == seal && strings.HasPrefix(c.Name, "segment-") {
			return waltest.ErrLie
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		appendBody(t, l, strings.Repeat(string(rune('a'+i)), 1500))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return disk.CrashAll()
}

// TestRemoveSeals: the segment before a removed one knows its own end from then on.
func TestRemoveSeals(t *testing.T) {
	disk := sealsLost(t)
	l, _, err := bodies(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	segs := l.Segments()
	if err := l.WriteCheckpoint(l.Durable(), func(io.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(segs[1].No); err != nil {
		t.Fatal(err)
	}
	disk = disk.CrashAll()
	l.Close()
	// Damage in its middle must not look like its end.
	flip(t, disk, segmentFile(segs[0].No), 4096+1600)
	l, err = wal.Open(disk, wal.Options{SegmentSize: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Segments()[0]; got.End != segs[0].End {
		t.Errorf("the segment before the removed one ends at %d, want %d", got.End, segs[0].End)
	}
}

// TestRewriteSeals: so does the one before a rewritten segment, whose number is no longer
// the next one.
func TestRewriteSeals(t *testing.T) {
	disk := sealsLost(t)
	l, _, err := bodies(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	segs := l.Segments()
	disk = disk.CrashAll()
	l.Close()
	before := segs[len(segs)-2]
	flip(t, disk, segmentFile(before.No), 4096+1600)
	l, err = wal.Open(disk, wal.Options{SegmentSize: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Segments()[len(segs)-2]; got.No != before.No || got.End != before.End {
		t.Errorf("the segment before the rewritten one = %+v, want %+v", got, before)
	}
}

// TestReserve: on a disk without room the log goes on in its reserve; a start then works
// too, and the reserve is made again when there is room.
func TestReserve(t *testing.T) {
	disk := waltest.Small(waltest.NewFS(), 200<<10)
	l, _, err := bodies(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	free, _, err := disk.Space()
	if err := errors.Join(err, l.Prepare(free)); err != nil {
		t.Fatal(err)
	}
	free, _, _ = disk.Space()
	disk.Others(free) // nothing left
	var want []string
	add := func() {
		t.Helper()
		want = append(want, strings.Repeat("x", 400))
		appendBody(t, l, want[len(want)-1])
	}
	for {
		if _, largest := l.Room(); largest < 500 {
			break
		}
		add()
	}
	if !l.Full() || len(want) < 14 {
		t.Fatalf("%d frames fitted into the active segment and the reserve; Full = %v", len(want), l.Full())
	}
	if err := errors.Join(l.Sync(), l.Err()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err == nil {
		t.Log("the mark of Close fitted too")
	}
	// The next start needs room for the last segment's copy.
	disk.Others(free - 20<<10)
	l, got, err := bodies(t, disk)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("start on a full disk: %d frames of %d, %v", len(got), len(want), err)
	}
	disk.Others(0)
	free, _, _ = disk.Space()
	if err := l.Prepare(free); err != nil || l.Full() {
		t.Errorf("Prepare with room = %v, Full = %v", err, l.Full())
	}
	if _, largest := l.Room(); largest < 4<<10 {
		t.Errorf("Room after Prepare = %d; the reserve is not there", largest)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestWriteNoSpace: no room for a write that was allocated for is a failed log.
func TestWriteNoSpace(t *testing.T) {
	var on atomic.Bool
	disk := waltest.NewFS()
	l, _, err := bodies(t, waltest.Faulty(disk, func(c waltest.Call) error {
		if c.Op == "write" && on.Load() {
			return syscall.ENOSPC
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	on.Store(true)
	err = l.Append(append(make([]byte, wal.HeaderSize), 1), 1, 1)
	if !errors.Is(err, wal.ErrFailed) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("append = %v, want a failed log", err)
	}
	on.Store(false)
	if err := l.Sync(); !errors.Is(err, wal.ErrFailed) {
		t.Errorf("sync afterwards = %v, want a failed log", err)
	}
	l.Close()
}
