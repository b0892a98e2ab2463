package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
)

type entry struct {
	pos  Pos
	time int64
	body string
}

func open(t testing.TB, fsys FS, size int64) *Log {
	t.Helper()
	l, err := Open(fsys, Options{SegmentSize: size})
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	return l
}

func replayAll(t testing.TB, l *Log, from Pos) []entry {
	t.Helper()
	var got []entry
	if err := l.Replay(from, func(f Frame) error {
		got = append(got, entry{f.Pos, f.Time, string(f.Payload)})
		return nil
	}); err != nil {
		t.Fatalf("Replay(%d) = %v", from, err)
	}
	return got
}

func add(t testing.TB, l *Log, time int64, body string) entry {
	t.Helper()
	e := entry{l.Next(), time, body}
	if err := l.Append(append(make([]byte, HeaderSize), body...), time, 1); err != nil {
		t.Fatalf("Append at %d = %v", e.pos, err)
	}
	return e
}

func ok(t testing.TB, doing string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s = %v", doing, err)
	}
}

func same(t testing.TB, got, want []entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("frame %d at %d differs from the one appended at %d", i, got[i].pos, want[i].pos)
		}
	}
}

func TestLog(t *testing.T) {
	for _, tt := range []struct {
		name string
		fs   func(t *testing.T) FS
	}{
		{"memory", func(*testing.T) FS { return MemFS() }},
		{"directory", func(t *testing.T) FS { return DirFS(t.TempDir() + "/a/b") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys := tt.fs(t)
			l := open(t, fsys, 64<<10)
			if got := replayAll(t, l, 0); len(got) != 0 {
				t.Fatalf("a new log has %d frames", len(got))
			}
			if _, err := Open(fsys, Options{}); !errors.Is(err, ErrLocked) {
				t.Errorf("second Open = %v, want ErrLocked", err)
			}
			var want []entry
			for i := range 300 {
				size := []int{1, 7, 8, 100, 5000}[i%5]
				if i%100 == 50 {
					size = 200 << 10 // larger than a segment
				}
				want = append(want, add(t, l, int64(1000+i), strings.Repeat(string(rune('a'+i%26)), size)))
				if i%3 == 0 {
					ok(t, "Sync", l.Sync())
					ok(t, "Mark", l.Mark())
				}
			}
			ok(t, "Sync", l.Sync())
			if l.Durable() != l.Next() {
				t.Errorf("Durable = %d after Sync, want %d", l.Durable(), l.Next())
			}
			for _, e := range want {
				f, err := l.ReadFrame(e.pos, nil)
				if err != nil || string(f.Payload) != e.body || f.Time != e.time || f.Count != 1 {
					t.Fatalf("ReadFrame(%d, nil) = %d bytes, time %d, %v", e.pos, len(f.Payload), f.Time, err)
				}
			}
			if _, err := l.ReadFrame(l.Next(), nil); !errors.Is(err, ErrNoFrame) {
				t.Errorf("ReadFrame(Next, nil) = %v, want ErrNoFrame", err)
			}
			segs := l.Segments()
			if len(segs) < 5 {
				t.Fatalf("%d segments", len(segs))
			}
			for i, s := range segs {
				if s.Sealed != (i < len(segs)-1) || i > 0 && s.First != segs[i-1].End {
					t.Errorf("segment %d = %+v after %+v", i, s, segs[max(i-1, 0)])
				}
			}
			ok(t, "Close", l.Close())
			if err := l.Sync(); !errors.Is(err, ErrClosed) {
				t.Errorf("Sync after Close = %v, want ErrClosed", err)
			}

			uuid := l.UUID()
			l = open(t, fsys, 64<<10)
			same(t, replayAll(t, l, 0), want)
			if l.UUID() != uuid || l.Stats().TornBytes != 0 {
				t.Errorf("reopened: uuid %x, want %x; stats %+v", l.UUID(), uuid, l.Stats())
			}
			if err := l.Append(append(make([]byte, HeaderSize), 1), 5, 1); err == nil {
				t.Error("Append took a time that goes back")
			}
			want = append(want, add(t, l, 5000, "more"))
			ok(t, "Close", l.Close())

			l = open(t, fsys, 64<<10)
			same(t, replayAll(t, l, want[200].pos), want[200:])
			ok(t, "Close", l.Close())
		})
	}
}

func TestNotReplayed(t *testing.T) {
	l := open(t, MemFS(), 0)
	if err := l.Append(make([]byte, HeaderSize+1), 1, 1); !errors.Is(err, errNotReplayed) {
		t.Errorf("Append = %v, want %v", err, errNotReplayed)
	}
	ok(t, "Close", l.Close())
}

func TestRemove(t *testing.T) {
	fsys := MemFS()
	l := open(t, fsys, 8<<10)
	replayAll(t, l, 0)
	var all []entry
	for i := range 60 {
		all = append(all, add(t, l, int64(i), strings.Repeat("x", 1000)))
		ok(t, "Sync", l.Sync())
	}
	segs := l.Segments()
	if err := l.Remove(segs[1].No); err == nil {
		t.Error("Remove without a checkpoint succeeded")
	}
	if err := l.Remove(segs[len(segs)-1].No); err == nil {
		t.Error("Remove of the active segment succeeded")
	}
	if err := l.WriteCheckpoint(l.Next()+8, func(io.Writer) error { return nil }); err == nil {
		t.Error("a checkpoint past what is durable was taken")
	}
	point := all[50].pos
	ok(t, "WriteCheckpoint", l.WriteCheckpoint(point, func(w io.Writer) error {
		_, err := io.WriteString(w, "state")
		return err
	}))
	ok(t, "Remove", l.Remove(segs[1].No))
	ok(t, "Remove", l.Remove(segs[2].No))
	if _, err := l.ReadFrame(segs[1].First, nil); !errors.Is(err, ErrNoFrame) {
		t.Errorf("ReadFrame in a removed segment = %v, want ErrNoFrame", err)
	}
	if _, err := l.ReadFrame(all[0].pos, nil); err != nil {
		t.Errorf("ReadFrame before the gap = %v", err)
	}
	ok(t, "Close", l.Close())

	l = open(t, fsys, 8<<10)
	if c, ok := errors.AsType[*CorruptError](l.Replay(0, func(Frame) error { return nil })); !ok ||
		!errors.Is(c, errMissing) || c.File != segmentName(segs[1].No) {
		t.Errorf("Replay(0) over a gap = %v, want a missing %s", c, segmentName(segs[1].No))
	}
	same(t, replayAll(t, l, point), all[50:])
	if s := l.Segments()[0]; s != segs[0] {
		t.Errorf("segment before the gap = %+v, want %+v", s, segs[0])
	}
	ok(t, "Close", l.Close())
}

func TestMissingSegment(t *testing.T) {
	for _, tt := range []struct {
		name string
		pick func(n int) int
	}{
		{"first", func(int) int { return 0 }},
		{"middle", func(n int) int { return n / 2 }},
		{"last", func(n int) int { return n - 1 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys := MemFS()
			l := open(t, fsys, 8<<10)
			replayAll(t, l, 0)
			for i := range 40 {
				add(t, l, int64(i), strings.Repeat("x", 1000))
			}
			ok(t, "Close", l.Close())
			segs := l.Segments()
			name := segmentName(segs[tt.pick(len(segs))].No)
			ok(t, "Remove", fsys.Remove(name))
			l, err := Open(fsys, Options{SegmentSize: 8 << 10})
			if err == nil {
				err = l.Replay(0, func(Frame) error { return nil })
				l.Close()
			}
			if c, ok := errors.AsType[*CorruptError](err); !ok || c.File != name {
				t.Errorf("open without %s = %v", name, err)
			}
		})
	}
}

// A checkpoint that was found damaged is no generation: the next one takes its place, and the whole
// one before it stays to fall back to.
func TestDamagedCheckpointIsReplaced(t *testing.T) {
	fsys := MemFS()
	l := open(t, fsys, minSegmentSize)
	replayAll(t, l, 0)
	var points []Pos
	write := func() {
		t.Helper()
		add(t, l, l.time+1, "frame")
		ok(t, "Sync", l.Sync())
		points = append(points, l.Next())
		ok(t, "WriteCheckpoint", l.WriteCheckpoint(l.Next(), func(w io.Writer) error {
			_, err := io.WriteString(w, "some state")
			return err
		}))
	}
	write()
	write()
	ok(t, "Close", l.Close())
	flip(t, fsys, checkpointName(points[1]), checkpointHead+2)
	l = open(t, fsys, minSegmentSize)
	for i, want := range []bool{true, false} { // newest first
		err := l.ReadCheckpoint(points[1-i], func(io.Reader) error { return nil })
		if isCorrupt(err, checkpointName(points[1-i])) != want {
			t.Fatalf("ReadCheckpoint(%d) = %v; want damage %v", points[1-i], err, want)
		}
	}
	replayAll(t, l, points[0])
	write()
	if got, want := l.Checkpoints(), []Pos{points[2], points[0]}; !slices.Equal(got, want) {
		t.Errorf("after one more Checkpoints = %v, want the new one and the whole one before it, %v", got, want)
	}
	ok(t, "Close", l.Close())
}

func TestCheckpoints(t *testing.T) {
	fsys := MemFS()
	l := open(t, fsys, 0)
	replayAll(t, l, 0)
	var points []Pos
	for i := range 4 {
		add(t, l, int64(i), "x")
		ok(t, "Sync", l.Sync())
		points = append([]Pos{l.Next()}, points...)
		ok(t, "WriteCheckpoint", l.WriteCheckpoint(l.Next(), func(w io.Writer) error {
			for range 1000 * i {
				fmt.Fprintf(w, "line %d\n", i)
			}
			return nil
		}))
	}
	if err := l.WriteCheckpoint(points[0], func(io.Writer) error { return fs.ErrInvalid }); !errors.Is(err,
		fs.ErrInvalid) {
		t.Errorf("WriteCheckpoint = %v, want the writer's error", err)
	}
	ok(t, "Close", l.Close())
	l = open(t, fsys, 0)
	got := l.Checkpoints()
	if len(got) != 2 || got[0] != points[0] || got[1] != points[1] {
		t.Fatalf("Checkpoints = %v, want %v", got, points[:2])
	}
	read := func(pos Pos) (n int, err error) {
		err = l.ReadCheckpoint(pos, func(r io.Reader) error {
			b, err := io.ReadAll(r)
			n = bytes.Count(b, []byte("\n"))
			return err
		})
		return n, err
	}
	if n, err := read(got[0]); n != 3000 || err != nil {
		t.Errorf("ReadCheckpoint = %d lines, %v", n, err)
	}
	flip(t, fsys, checkpointName(got[0]), 5000)
	if _, err := read(got[0]); !isCorrupt(err, checkpointName(got[0])) {
		t.Errorf("ReadCheckpoint of a damaged file = %v", err)
	}
	if n, err := read(got[1]); n != 2000 || err != nil {
		t.Errorf("ReadCheckpoint of the older = %d lines, %v", n, err)
	}
	replayAll(t, l, got[1])
	ok(t, "Close", l.Close())
}

func TestFormat(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"newer", "glassq-wal 9 whatever comes then\n", ErrFormat},
		{"garbage", "hello\n", nil},
		{"older", "glassq-wal 1 00000000000000000000000000000000\n", ErrFormat},
		{"short uuid", "glassq-wal 3 00\n", nil},
		{"empty", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys := MemFS()
			f, _ := fsys.Create(formatName)
			f.WriteAt([]byte(tt.text), 0)
			_, err := Open(fsys, Options{})
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && !isCorrupt(err, formatName) {
				t.Errorf("Open with format %q = %v", tt.text, err)
			}
		})
	}
}

func TestConcurrentReads(t *testing.T) {
	l := open(t, MemFS(), 8<<10)
	replayAll(t, l, 0)
	var mu sync.Mutex
	var all []entry
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				n := len(all)
				var e entry
				if n > 0 {
					e = all[i*7919%n]
				}
				mu.Unlock()
				if n == 0 {
					continue
				}
				if f, err := l.ReadFrame(e.pos, nil); err != nil && !errors.Is(err, ErrNoFrame) || err == nil &&
					string(f.Payload) != e.body {
					t.Errorf("ReadFrame(%d, nil) = %v", e.pos, err)
					return
				}
			}
		})
	}
	for i := range 800 {
		e := add(t, l, int64(i), strings.Repeat(string(rune('a'+i%26)), 2500))
		mu.Lock()
		all = append(all, e)
		mu.Unlock()
		if i%20 == 19 {
			ok(t, "Sync", l.Sync())
			ok(t, "WriteCheckpoint", l.WriteCheckpoint(l.Durable(), func(io.Writer) error { return nil }))
		}
		if i%200 == 199 {
			ok(t, "Remove", l.Remove(l.Segments()[3].No))
		}
	}
	close(done)
	wg.Wait()
	ok(t, "Close", l.Close())
}

func isCorrupt(err error, file string) bool {
	c, ok := errors.AsType[*CorruptError](err)
	return ok && c.File == file
}

// flip changes one bit of a file.
func flip(t testing.TB, fsys FS, name string, off int64) {
	t.Helper()
	f, err := fsys.Open(name)
	ok(t, "Open", err)
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	ok(t, "ReadAt", err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b[:], off)
	ok(t, "WriteAt", err)
	ok(t, "Close", f.Close())
}
