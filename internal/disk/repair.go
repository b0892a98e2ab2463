package disk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/state"
	"github.com/glassq/glassq/internal/wal"
)

// A Salvage tells what can be kept of a damaged store, or was.
type Salvage struct {
	Losses  []wal.Loss
	Cut     uint64             // position up to which everything is kept as it is
	Queues  []glassq.QueueInfo // as of Cut
	Runs    []glassq.Run       // as of Cut
	Again   map[string]int     // by queue: tasks put after Cut, which are put again
	ByRun   map[string]int     // the same by run; "" for none
	Refused int                // of these, refused as duplicates or beyond their run
	Lost    int64              // tasks kept without their bodies: each goes dead when it is to be handed out
	Kept    string             // where the original is, when it was salvaged
	again   []glassq.Task
	limit   uint64  // lease numbers below it may have been used
	low     wal.Pos // lowest place of a body of Lost
}

// Whole tells that nothing is wrong.
func (s *Salvage) Whole() bool { return len(s.Losses) == 0 }

// Repair reads the store in dir, which no server may use, and tells what of it can be kept. With
// salvage it then makes a new store of that in dir, and the original is kept beside it under another
// name. Up to the first loss after the last whole checkpoint everything is kept as it is. Tasks put
// after that are put again, whether or not they were done since: the acks behind a gap cannot be
// matched with their tasks.
func Repair(dir string, salvage bool) (*Salvage, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	fsys := wal.DirFS(dir)
	lock, err := wal.LockDir(fsys)
	if err != nil {
		return nil, openErr(err)
	}
	defer lock.Close()
	s, v, err := survey(fsys)
	if err != nil || !salvage || s.Whole() {
		return s, err
	}
	fresh := dir + ".salvaged"
	if _, err := os.Stat(fresh); err == nil {
		return s, glassq.Errorf(glassq.CodeBadRequest, "%s is in the way, of an earlier try perhaps; remove it and try again", fresh)
	}
	if err := s.build(v, fresh); err != nil {
		os.RemoveAll(fresh) // made just now: it is not to be in the way of the next try
		return s, fmt.Errorf("make %s: %w; %s is as it was", fresh, err, dir)
	}
	s.Kept = fmt.Sprintf("%s.damaged-%s", dir, time.Now().UTC().Format("20060102T150405"))
	if err := os.Rename(dir, s.Kept); err != nil {
		return s, err
	}
	return s, os.Rename(fresh, dir)
}

func survey(fsys wal.FS) (*Salvage, *wal.Survey, error) {
	v, err := wal.NewSurvey(fsys)
	if err != nil {
		return nil, nil, openErr(err)
	}
	s := &Salvage{Again: map[string]int{}, ByRun: map[string]int{}}
	var sp state.Space
	hooks := state.Hooks{
		Live: func(f uint64, n int64) {
			before := sp.Lost
			if sp.Add(f, 1, n); sp.Lost > before && (s.low == 0 || posOf(f) < s.low) {
				s.low = posOf(f)
			}
		},
		Dropped: func(f uint64, n int64) { sp.Add(f, -1, -n) },
	}
	sp.Know(extents(v.Segments()))
	st := state.New(hooks)
	var from wal.Pos
	for _, pos := range v.Checkpoints {
		if err := v.ReadCheckpoint(pos, st.Restore); err == nil {
			from = pos
			break
		}
		sp, s.low = state.Space{}, 0
		sp.Know(extents(v.Segments()))
		st = state.New(hooks)
	}
	cut, gone := from, false
	err = v.Frames(from, func(f wal.Frame, after bool) error {
		if !after && !gone {
			st.Advance(f.Time)
			if off, err := st.ApplyAll(f.Payload, idOf(f.Pos)); err != nil {
				return fmt.Errorf("log position %d, record at %d: %w", f.Pos, off, err)
			}
			cut = wal.After(f.Pos, len(f.Payload))
			return nil
		}
		gone = true
		err := state.Puts(f.Payload, func(t glassq.Task) {
			t.Body, t.Extra = slices.Clone(t.Body), slices.Clone(t.Extra)
			s.again = append(s.again, t)
			s.Again[t.Queue]++
			s.ByRun[t.Run]++
		})
		if err != nil {
			v.Losses = append(v.Losses, wal.Loss{From: f.Pos, Err: err})
		}
		return nil
	})
	if err != nil {
		return nil, nil, openErr(err)
	}
	if s.Lost = sp.Lost; s.Lost == 0 {
		s.low = 0
	} else if len(v.Losses) == 0 {
		v.Losses = append(v.Losses, wal.Loss{File: "log", From: s.low,
			Err: errors.New("a segment is missing in which tasks lie")})
	}
	s.Losses, s.Cut = v.Losses, uint64(cut)
	// A lease takes some bytes of the log, and a start, which skips a block of numbers, a frame: so
	// many numbers at most were handed out behind the gap.
	s.limit = st.Limit() + 2*engine.NumberBlock + uint64(max(v.End, cut)-cut)<<15
	for _, q := range st.Queues() {
		s.Queues = append(s.Queues, q.Info())
	}
	for _, r := range st.Runs() {
		s.Runs = append(s.Runs, st.RunInfo(r))
	}
	return s, v, nil
}

// build makes the new store.
func (s *Salvage) build(v *wal.Survey, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := v.CopyTo(wal.DirFS(dir), wal.Pos(s.Cut), s.low); err != nil {
		return err
	}
	e, err := Open(dir, Options{MinFree: Watermark{Bytes: -1}})
	if err != nil {
		return err
	}
	err = e.SkipNumbers(func(uint64) uint64 { return s.limit })
	for i := 0; i < len(s.again) && err == nil; i++ {
		var r []glassq.Receipt
		r, err = e.Put(context.Background(), s.again[i:i+1])
		if errors.Is(err, glassq.ErrRunConflict) || errors.Is(err, glassq.ErrQueueFull) || err == nil && r[0].Duplicate {
			s.Refused++
			err = nil
		}
	}
	return errors.Join(err, e.Close())
}

// QueueNames are the queues that a salvage puts tasks into again, in order.
func (s *Salvage) QueueNames() []string { return slices.Sorted(maps.Keys(s.Again)) }
