package waltest_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"testing"

	"github.com/glassq/glassq/internal/wal"
	"github.com/glassq/glassq/internal/wal/waltest"
)

var seeds = flag.Uint64("seeds", 3, "crashes tried after every call")

// A run drives one log and remembers what the log promised.
type run struct {
	l      *wal.Log
	pos    []wal.Pos // of every frame whose Append was called, in order
	synced int       // that many were appended before a Sync that returned nil
	points []wal.Pos // checkpoints that were taken
	time   int64
}

func body(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, 100+i*397%3000) }

func (r *run) open(fsys wal.FS) (err error) {
	if r.l, err = wal.Open(fsys, wal.Options{SegmentSize: 8 << 10}); err != nil {
		return err
	}
	return r.l.Replay(0, func(wal.Frame) error { return nil })
}

func (r *run) add(n int) error {
	for range n {
		b := append(make([]byte, wal.HeaderSize), body(len(r.pos))...)
		r.time++
		r.pos = append(r.pos, r.l.Next())
		if err := r.l.Append(b, r.time, 1); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) sync() error {
	n := len(r.pos)
	err := r.l.Sync()
	if err == nil {
		r.synced = n
	}
	return err
}

func (r *run) checkpoint() error {
	pos := r.l.Durable()
	err := r.l.WriteCheckpoint(pos, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%d", pos)
		return err
	})
	if err == nil {
		r.points = append(r.points, pos)
	}
	return err
}

// scripts are short lives of a log. Each step stops the script when it fails.
var scripts = []struct {
	name  string
	steps []func(r *run) error
}{
	{"append and sync", []func(*run) error{
		func(r *run) error { return r.add(1) }, (*run).sync,
		func(r *run) error { return r.add(2) }, (*run).sync,
		func(r *run) error { return r.l.Mark() },
		func(r *run) error { return r.add(1) }, (*run).sync,
		func(r *run) error { return r.l.Close() },
	}},
	{"roll", []func(*run) error{
		func(r *run) error { return r.add(4) }, (*run).sync,
		func(r *run) error { return r.add(8) }, (*run).sync,
		func(r *run) error { return r.add(3) },
		func(r *run) error { return r.l.Close() },
	}},
	{"never sync", []func(*run) error{
		func(r *run) error { return r.add(25) },
	}},
	{"checkpoint and remove", []func(*run) error{
		func(r *run) error { return r.add(6) }, (*run).sync, (*run).checkpoint,
		func(r *run) error { return r.add(12) }, (*run).sync, (*run).checkpoint,
		func(r *run) error { return r.add(2) }, (*run).sync, (*run).checkpoint,
		func(r *run) error { return r.l.Remove(r.l.Segments()[1].No) },
		func(r *run) error { return r.l.Remove(r.l.Segments()[0].No) },
		func(r *run) error { return r.add(9) }, (*run).sync,
		func(r *run) error { return r.l.Close() },
	}},
}

func play(fsys *waltest.FS, steps []func(*run) error) *run {
	r := &run{}
	if r.open(fsys) != nil {
		return r
	}
	for _, step := range steps {
		if step(r) != nil {
			r.l.Close() // stops its goroutines; changes nothing any more
			return r
		}
	}
	r.l.Close()
	return r
}

// TestCrashAfterEveryCall: after any crash at any call, the log opens, holds every
// frame that a Sync covered, holds nothing else than a prefix of what was appended,
// and can be written to again.
func TestCrashAfterEveryCall(t *testing.T) {
	random := *seeds
	if testing.Short() {
		random = min(random, 1)
	}
	for _, sc := range scripts {
		t.Run(sc.name, func(t *testing.T) {
			fsys := waltest.NewFS()
			play(fsys, sc.steps)
			// Some calls are made in the background, so their number varies a little.
			for n := 0; n <= fsys.Calls()+3; n++ {
				for seed := range random + 2 {
					fsys := waltest.NewFS()
					fsys.CrashAfter(n)
					r := play(fsys, sc.steps)
					switch seed {
					case 0:
						fsys = fsys.CrashAll()
					case 1:
						fsys = fsys.Kill()
					default:
						fsys = fsys.Crash(seed*1000 + uint64(n))
					}
					name := fmt.Sprintf("crash after call %d, seed %d", n, seed)
					// Once more while recovering, then for good.
					again := fsys.Kill()
					again.CrashAfter(n % 9)
					if l, err := wal.Open(again, wal.Options{SegmentSize: 8 << 10}); err == nil {
						l.Replay(0, func(wal.Frame) error { return nil })
						l.Close()
					}
					verify(t, name, again.Crash(seed+77), r)
					verify(t, name, fsys, r)
				}
			}
		})
	}
}

func verify(t *testing.T, name string, fsys *waltest.FS, r *run) {
	t.Helper()
	fsys = fsys.Kill() // an own copy, without the lock
	var from, end wal.Pos
	for pass := range 2 { // the second time after appending to what was recovered
		l, err := wal.Open(fsys, wal.Options{SegmentSize: 8 << 10})
		if err != nil {
			t.Fatalf("%s: Open = %v", name, err)
		}
		points := l.Checkpoints()
		if n := len(r.points); n > 0 && (len(points) == 0 || points[0] < r.points[n-1]) {
			t.Fatalf("%s: checkpoints %v, want %d", name, points, r.points[n-1])
		}
		for _, p := range points {
			if err := l.ReadCheckpoint(p, func(rd io.Reader) error {
				b, err := io.ReadAll(rd)
				if string(b) != fmt.Sprint(p) {
					err = fmt.Errorf("read %q", b)
				}
				return err
			}); err != nil {
				t.Fatalf("%s: ReadCheckpoint(%d) = %v", name, p, err)
			}
		}
		if len(points) > 0 {
			from = points[0]
		}
		i := 0
		for i < len(r.pos) && r.pos[i] < from {
			i++
		}
		if err := l.Replay(from, func(f wal.Frame) error {
			if pass == 1 && f.Pos == end {
				if string(f.Payload) != "after" {
					return fmt.Errorf("payload %q", f.Payload)
				}
				return nil
			}
			if i >= len(r.pos) || f.Pos != r.pos[i] || !bytes.Equal(f.Payload, body(i)) {
				return fmt.Errorf("not frame %d of %d", i, len(r.pos))
			}
			i++
			return nil
		}); err != nil {
			t.Fatalf("%s: Replay(%d) = %v", name, from, err)
		}
		if i < r.synced {
			t.Fatalf("%s: %d frames are back, %d were synced", name, i, r.synced)
		}
		if pass == 0 {
			end = l.Next()
			if err := l.Append(append(make([]byte, wal.HeaderSize), "after"...), 1000, 1); err != nil {
				t.Fatalf("%s: Append = %v", name, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatalf("%s: Close = %v", name, err)
		}
		fsys = fsys.CrashAll() // Close has made it durable
	}
}

// TestNamesOfAKilledProcess: a process is killed when it has renamed a new segment and not yet
// synced the directory. What its successor syncs into that segment survives a power cut that
// forgets the name.
func TestNamesOfAKilledProcess(t *testing.T) {
	first := func(fsys *waltest.FS) *run {
		r := &run{}
		if r.open(fsys) == nil && r.add(8) == nil { // rolls on the way
			r.sync()
		}
		return r
	}
	probe := waltest.NewFS()
	first(probe)
	for n := 1; n <= probe.Calls(); n++ {
		fsys := waltest.NewFS()
		fsys.CrashAfter(n)
		r := first(fsys)
		if r.l != nil {
			r.l.Close() // stops its goroutines; changes nothing any more
		}
		fsys = fsys.Kill()
		// The successor goes on behind what it finds.
		found := 0
		l, err := wal.Open(fsys, wal.Options{SegmentSize: 8 << 10})
		if err == nil {
			err = l.Replay(0, func(wal.Frame) error { found++; return nil })
		}
		if err != nil {
			t.Fatalf("killed after call %d: %v", n, err)
		}
		r = &run{l: l, pos: r.pos[:found], time: 100}
		if err := errors.Join(r.add(1), r.sync()); err != nil {
			t.Fatal(err)
		}
		verify(t, fmt.Sprintf("killed after call %d, then a power cut", n), fsys.CrashAll(), r)
		l.Close()
	}
}

// TestFaultSticks: after a failed write or sync nothing is promised any more, and
// what was promised before is there.
func TestFaultSticks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		inject func(*waltest.FS)
	}{
		{"write", func(m *waltest.FS) { m.FailWrite(segmentFile(1)) }},
		{"sync", func(m *waltest.FS) { m.FailSync(segmentFile(1)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys := waltest.NewFS()
			r := &run{}
			if err := errors.Join(r.open(fsys), r.add(1), r.sync()); err != nil {
				t.Fatal(err)
			}
			pos := r.l.Durable()
			tt.inject(fsys)
			err := r.add(1)
			if err == nil {
				err = r.sync()
			}
			if !errors.Is(err, wal.ErrFailed) || !errors.Is(err, waltest.ErrInjected) {
				t.Fatalf("the faulty call = %v", err)
			}
			_, readErr := r.l.ReadFrame(r.pos[0], nil)
			for name, err := range map[string]error{
				"Append": r.add(1), "Sync": r.l.Sync(), "Mark": r.l.Mark(), "ReadFrame": readErr,
				"WriteCheckpoint": r.checkpoint(), "Remove": r.l.Remove(1), "Close": r.l.Close(),
			} {
				if !errors.Is(err, waltest.ErrInjected) {
					t.Errorf("%s after the fault = %v", name, err)
				}
			}
			if r.l.Durable() != pos {
				t.Errorf("Durable = %d, want %d", r.l.Durable(), pos)
			}
			verify(t, "power cut", fsys.CrashAll(), r)
		})
	}
}
