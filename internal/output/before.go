package output

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/glassq/glassq"
)

// A before is what a file had before this output. A run is known by its name there, and another server,
// or this one after the run was dropped, may have another run of that name. The first results of a run
// that lie at positions which the file has are held against it: those of another run are not the same.
type before struct {
	opt  LoadOptions
	size int64                      // bytes of its whole lines
	runs map[string]*roaring.Bitmap // what the file has of those runs that nothing was held against yet
}

func (s *Seen) doubt(opt LoadOptions, size int64) {
	s.file = &before{opt, size, map[string]*roaring.Bitmap{}}
	for run, b := range s.runs {
		b.SetCopyOnWrite(true)
		s.file.runs[run] = b.Clone()
	}
}

// place is where a result belongs.
type place struct {
	run string
	n   uint32
}

// repeats returns nil when those results that were seen before are the ones that the file has, as far
// as that is to be asked. It reads the file for the first of each run. The error has code run_conflict.
func (s *Seen) repeats(leases []glassq.Lease) error {
	if s.file == nil || len(s.file.runs) == 0 {
		return nil
	}
	come := map[place]*glassq.Lease{}
	for i := range leases {
		l := &leases[i]
		if b := s.file.runs[l.Run]; b != nil {
			if n, ok := position(l); ok && b.Contains(n) {
				come[place{l.Run, n}] = l
			}
		}
	}
	if len(come) == 0 {
		return nil
	}
	f, same := newLoader(s.file.opt), map[place]bool{}
	f.each = func(line []byte) {
		n, ok := position(&f.lease)
		at := place{f.lease.Run, n}
		if l := come[at]; ok && l != nil && !same[at] { // of two lines one will do
			same[at] = f.same(line, l)
		}
	}
	if _, err := eachLine(io.LimitReader(s.file.opt.Again(), s.file.size), f); err != nil {
		return fmt.Errorf("read again what was written before: %w", err)
	}
	for at := range come {
		if !same[at] {
			return glassq.Errorf(glassq.CodeRunConflict,
				"the file has results of another run named %s, or of this one from before its store was restored: its %s is not the one that came now, which would be taken for a repeat; nothing is lost, name another --out",
				at.run, glassq.DenseID(at.run, at.n))
		}
		delete(s.file.runs, at.run)
	}
	return nil
}

// same tells whether a line that was read is that of l. Where it was written in another way, by another
// version perhaps, the time tells: two tries never begin and take the same.
func (f *loader) same(line []byte, l *glassq.Lease) bool {
	var now, then record
	var parts object
	now.read(l, &parts, time.Time{})
	var is []byte
	if f.opt.Format == CSV {
		is = appendCSV(nil, &now, f.seen.columns)
	} else {
		is = appendLine(nil, l, now.body, now.obj)
	}
	if bytes.Equal(bytes.TrimSpace(is), bytes.TrimSpace(line)) {
		return true
	}
	then.read(&f.lease, &f.obj, time.Time{})
	took, began := now.out.Took.Round(time.Microsecond), now.out.Began.Round(time.Millisecond)
	return !began.IsZero() && took == then.out.Took.Round(time.Microsecond) &&
		began.Sub(then.out.Began).Abs() <= time.Millisecond
}
