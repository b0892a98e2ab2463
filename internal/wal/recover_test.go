package wal

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// threeFrames is a log whose process died: three frames, all synced, no mark.
func threeFrames(t *testing.T) (FS, []entry) {
	t.Helper()
	fsys := &unlocked{MemFS()}
	l := open(t, fsys, 64<<10)
	replayAll(t, l, 0)
	var all []entry
	for i, n := range []int{100, 40, 61} {
		all = append(all, add(t, l, int64(i), strings.Repeat("z", n)))
		ok(t, "Sync", l.Sync())
	}
	return fsys, all
}

func TestTornAtEveryByte(t *testing.T) {
	probe, all := threeFrames(t)
	start := pageSize + int64(all[2].pos-firstPos)
	f, err := probe.Open(segmentName(1))
	ok(t, "Open", err)
	size, err := f.Size()
	ok(t, "Size", err)
	end := start + HeaderSize + padded(int64(len(all[2].body)))
	for cut := start; cut < end; cut++ {
		for _, zeroed := range []bool{false, true} {
			fsys, _ := threeFrames(t)
			f, err := fsys.Open(segmentName(1))
			ok(t, "Open", err)
			whole := make([]byte, end-cut)
			_, err = f.ReadAt(whole, cut)
			ok(t, "ReadAt", err)
			ok(t, "Truncate", f.Truncate(cut))
			if zeroed { // as in a file filled with zeros before
				ok(t, "Truncate", f.Truncate(size))
			}
			if !zeroed { // the page of the file says how long it was
				l := open(t, fsys, 64<<10)
				if err := l.Replay(0, func(Frame) error { return nil }); !isCorrupt(err, segmentName(1)) {
					t.Fatalf("Replay of a file cut at %d = %v, want damage", cut, err)
				}
				continue
			}
			want := all[:2]
			if allZero(whole) {
				want = all
			}
			l := open(t, fsys, 64<<10)
			same(t, replayAll(t, l, 0), want)
			if len(want) == 2 {
				torn := cut - start
				if got := l.Stats().TornBytes; got > torn || torn > 0 && got == 0 {
					t.Fatalf("cut after %d bytes: TornBytes = %d", torn, got)
				}
			}
			next := add(t, l, 10, "after")
			ok(t, "Close", l.Close())
			l = open(t, fsys, 64<<10)
			same(t, replayAll(t, l, 0), append(append([]entry{}, want...), next))
			ok(t, "Close", l.Close())
		}
	}
}

// A flipped bit in a frame that a later one proves durable is damage, wherever it is.
func TestFlippedBit(t *testing.T) {
	_, all := threeFrames(t)
	for _, tt := range []struct {
		name  string
		frame int
	}{{"first", 0}, {"middle", 1}} {
		t.Run(tt.name, func(t *testing.T) {
			from := pageSize + int64(all[tt.frame].pos-firstPos)
			to := pageSize + int64(all[tt.frame+1].pos-firstPos)
			for off := from; off < to; off++ {
				fsys, _ := threeFrames(t)
				flip(t, fsys, segmentName(1), off)
				l := open(t, fsys, 64<<10)
				err := l.Replay(0, func(Frame) error { return nil })
				want := CorruptError{File: segmentName(1), Offset: from, From: all[tt.frame].pos, To: all[2].pos}
				c, _ := err.(*CorruptError)
				if c == nil || c.File != want.File || c.Offset != want.Offset || c.From != want.From || c.To != want.To {
					t.Fatalf("Replay with byte %d flipped = %v, want %+v", off, err, want)
				}
				if _, err := l.ReadFrame(all[tt.frame].pos, nil); err == nil {
					t.Fatalf("ReadFrame with byte %d flipped succeeded", off)
				}
			}
		})
	}
}

func TestDamage(t *testing.T) {
	end := func(all []entry) Pos { return all[2].pos + Pos(HeaderSize+padded(int64(len(all[2].body)))) }
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, fsys FS, all []entry)
		file   string
		offset func(all []entry) int64
	}{
		{"last frame under a mark", func(t *testing.T, fsys FS, all []entry) {
			l := open(t, fsys, 64<<10)
			replayAll(t, l, 0)
			ok(t, "Close", l.Close()) // leaves a mark
			flip(t, fsys, segmentName(2), pageSize+int64(all[2].pos-firstPos)+60)
		}, segmentName(2), func(all []entry) int64 { return pageSize + int64(all[2].pos-firstPos) }},
		{"last frame under a checkpoint", func(t *testing.T, fsys FS, all []entry) {
			l := open(t, fsys, 64<<10)
			replayAll(t, l, 0)
			ok(t, "WriteCheckpoint", l.WriteCheckpoint(l.Durable(), nothing))
			f, err := fsys.Open(segmentName(2))
			ok(t, "Open", err)
			ok(t, "Truncate", f.Truncate(pageSize+int64(all[2].pos-firstPos)))
		}, segmentName(2), func(all []entry) int64 { return pageSize + int64(all[2].pos-firstPos) }},
		{"segment header", func(t *testing.T, fsys FS, _ []entry) {
			flip(t, fsys, segmentName(1), 20)
		}, segmentName(1), func([]entry) int64 { return 0 }},
		{"zeros in the middle", func(t *testing.T, fsys FS, all []entry) {
			f, err := fsys.Open(segmentName(1))
			ok(t, "Open", err)
			_, err = f.WriteAt(make([]byte, all[2].pos-all[1].pos), pageSize+int64(all[1].pos-firstPos))
			ok(t, "WriteAt", err)
		}, segmentName(1), func(all []entry) int64 { return 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys, all := threeFrames(t)
			tt.damage(t, fsys, all)
			l, err := Open(fsys, Options{})
			if err == nil {
				err = l.Replay(0, func(Frame) error { return nil })
			}
			if tt.name == "zeros in the middle" {
				// The third frame was written when the second was durable up to its end,
				// that is, the third's own position: proof enough.
				if c, _ := err.(*CorruptError); c == nil || c.From != all[1].pos || c.To != all[2].pos {
					t.Fatalf("Replay = %v", err)
				}
				return
			}
			if !isCorrupt(err, tt.file) {
				t.Fatalf("open = %v, want damage in %s below %d", err, tt.file, end(all))
			}
			if c, ok := err.(*CorruptError); ok && c.Offset != tt.offset(all) {
				t.Errorf("damage at byte %d, want %d", c.Offset, tt.offset(all))
			}
		})
	}
}

// writes is a file system that allocates by writing only.
type writes struct{ FS }

type writtenFile struct{ File }

func (writtenFile) Allocate(int64, int64) error { return nil }

func (w writes) Open(name string) (File, error) { return written(w.FS.Open(name)) }

func (w writes) Create(name string) (File, error) { return written(w.FS.Create(name)) }

func written(f File, err error) (File, error) { return writtenFile{f}, err }

// A last segment that was cut anywhere is damage, wherever the checkpoint lies: after a crash and
// after a clean stop, in a file that grew and in one that did not, and where a file grows by being
// written only.
func TestCutLastSegment(t *testing.T) {
	for _, tt := range []struct {
		name         string
		fs           FS
		frames       int // of 64 KiB and a bit
		again, clean bool
		point        int // frames before the checkpoint; 0 is none
	}{
		{"new", MemFS(), 3, false, false, 0},
		{"new, closed", MemFS(), 3, false, true, 0},
		{"opened again", MemFS(), 3, true, false, 0},
		{"grown", MemFS(), 40, false, false, 0},
		{"grown before the checkpoint", MemFS(), 40, false, false, 35},
		{"written, grown", writes{MemFS()}, 40, false, false, 0},
		{"written, opened again", writes{MemFS()}, 40, true, false, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys := unlocked{tt.fs}
			l := open(t, fsys, 4<<20)
			replayAll(t, l, 0)
			var from Pos
			for i := range tt.frames {
				add(t, l, int64(i), strings.Repeat("z", 64<<10+i*8))
				ok(t, "Sync", l.Sync())
				if i+1 == tt.point {
					from = l.Durable()
					ok(t, "WriteCheckpoint", l.WriteCheckpoint(from, nothing))
				}
			}
			if tt.clean {
				ok(t, "Close", l.Close())
			}
			if tt.again {
				l = open(t, fsys, 4<<20)
				replayAll(t, l, from)
				add(t, l, 100, "after")
				ok(t, "Sync", l.Sync())
			}
			name := l.active().name()
			f, err := fsys.Open(name)
			ok(t, "Open", err)
			size, err := f.Size()
			ok(t, "Size", err)
			if end := l.active().offset(l.Next()); size < end+HeaderSize {
				t.Fatalf("the file has %d bytes, and frames up to %d", size, end)
			}
			whole := make([]byte, size)
			_, err = f.ReadAt(whole, 0)
			ok(t, "ReadAt", err)
			step := size/60 | 1
			for cut := size - 1; cut >= 0; cut -= step {
				ok(t, "Truncate", f.Truncate(cut))
				l, err := Open(fsys, Options{SegmentSize: 4 << 20})
				if err == nil {
					err = l.Replay(from, func(Frame) error { return nil })
				}
				if !isCorrupt(err, name) {
					t.Fatalf("%d of %d bytes left: %v, want damage of %s", cut, size, err, name)
				}
			}
			_, err = f.WriteAt(whole, 0)
			ok(t, "WriteAt", err)
			l = open(t, fsys, 4<<20)
			ok(t, "Replay of the whole file", l.Replay(from, func(Frame) error { return nil }))
		})
	}
}

// A tail is told with its positions and the records in it.
func TestTornTailIsTold(t *testing.T) {
	fsys, all := threeFrames(t)
	flip(t, fsys, segmentName(1), pageSize+int64(all[2].pos-firstPos)+HeaderSize)
	var said strings.Builder
	l, err := Open(fsys, Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	ok(t, "Open", err)
	replayAll(t, l, 0)
	want := fmt.Sprintf("from=%d to=%d records=1", all[2].pos, all[2].pos+HeaderSize+64)
	if !strings.Contains(said.String(), want) {
		t.Errorf("the log says %q, want %q", said.String(), want)
	}
}

// The last frame of a segment that does not read is one loss, up to the segment behind it.
func TestSurveyLastFrame(t *testing.T) {
	fsys := MemFS()
	l := open(t, fsys, 8<<10)
	replayAll(t, l, 0)
	var all []entry
	for len(l.Segments()) < 3 {
		all = append(all, add(t, l, int64(len(all)), strings.Repeat("x", 1000)))
	}
	second := l.Segments()[1]
	ok(t, "Close", l.Close())
	at := slices.IndexFunc(all, func(e entry) bool { return e.pos == second.First }) - 1
	flip(t, fsys, segmentName(1), pageSize+int64(all[at].pos-firstPos))
	v, err := NewSurvey(fsys)
	ok(t, "NewSurvey", err)
	var after []Pos
	ok(t, "Frames", v.Frames(0, func(f Frame, gone bool) error {
		if gone {
			after = append(after, f.Pos)
		}
		return nil
	}))
	want := Loss{File: segmentName(1), From: all[at].pos, To: second.First}
	if l := v.Losses; len(l) != 1 || l[0].File != want.File || l[0].From != want.From || l[0].To != want.To {
		t.Errorf("the losses are %v; want one from %d to %d", v.Losses, all[at].pos, second.First)
	}
	if len(after) != len(all)-at-1 {
		t.Errorf("%d frames behind it; want %d", len(after), len(all)-at-1)
	}
}

// What a start takes for a torn tail is no loss to a survey, though frames behind it read; what it takes for
// damage is one.
func TestSurveyTail(t *testing.T) {
	for _, tt := range []struct {
		name    string
		between bool // a sync
		torn    bool
	}{
		{"two frames of one sync", false, true},
		{"two frames of two", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys, all := threeFrames(t)
			l := open(t, fsys, 64<<10)
			replayAll(t, l, 0)
			all = append(all, add(t, l, 3, "the first"))
			if tt.between {
				ok(t, "Sync", l.Sync())
			}
			add(t, l, 4, "the second")
			ok(t, "Sync", l.Sync())
			last := l.Segments()[len(l.Segments())-1]
			at := pageSize + int64(all[3].pos-last.First) + HeaderSize
			flip(t, fsys, segmentName(last.No), at)
			v, err := NewSurvey(fsys)
			ok(t, "NewSurvey", err)
			read := 0
			ok(t, "Frames", v.Frames(0, func(Frame, bool) error { read++; return nil }))
			if (len(v.Losses) == 0) != tt.torn || (v.Torn > 0) != tt.torn {
				t.Errorf("the survey: losses %v, torn %d bytes; want torn: %v", v.Losses, v.Torn, tt.torn)
			}
			err = open(t, fsys, 64<<10).Replay(0, func(Frame) error { return nil })
			if (err == nil) != tt.torn {
				t.Errorf("a start = %v; want a torn tail: %v", err, tt.torn)
			}
		})
	}
}
