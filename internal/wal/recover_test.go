package wal

import (
	"strings"
	"testing"
)

// threeFrames is a log whose process died: three frames, all synced, no mark.
func threeFrames(t *testing.T) (FS, []entry) {
	t.Helper()
	fsys := &unlocked{MemFS()}
	l := open(t, fsys, 0)
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
	end, err := f.Size()
	ok(t, "Size", err)
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
				_, err = f.WriteAt(make([]byte, 4096), cut)
				ok(t, "WriteAt", err)
			}
			want := all[:2]
			if allZero(whole) {
				if !zeroed {
					continue // only padding is missing: covered by the row of zeros
				}
				want = all
			}
			l := open(t, fsys, 0)
			same(t, replayAll(t, l, 0), want)
			if len(want) == 2 {
				torn := cut - start
				if got := l.Stats().TornBytes; got > torn || torn > 0 && got == 0 {
					t.Fatalf("cut after %d bytes: TornBytes = %d", torn, got)
				}
			}
			next := add(t, l, 10, "after")
			ok(t, "Close", l.Close())
			l = open(t, fsys, 0)
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
				l := open(t, fsys, 0)
				err := l.Replay(0, func(Frame) error { return nil })
				want := CorruptError{File: segmentName(1), Offset: from, From: all[tt.frame].pos, To: all[2].pos}
				c, _ := err.(*CorruptError)
				if c == nil || c.File != want.File || c.Offset != want.Offset || c.From != want.From || c.To != want.To {
					t.Fatalf("Replay with byte %d flipped = %v, want %+v", off, err, want)
				}
				if _, err := l.ReadFrame(all[tt.frame].pos); err == nil {
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
			l := open(t, fsys, 0)
			replayAll(t, l, 0)
			ok(t, "Close", l.Close()) // leaves a mark
			flip(t, fsys, segmentName(2), pageSize+int64(all[2].pos-firstPos)+60)
		}, segmentName(2), func(all []entry) int64 { return pageSize + int64(all[2].pos-firstPos) }},
		{"last frame under a checkpoint", func(t *testing.T, fsys FS, all []entry) {
			l := open(t, fsys, 0)
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
