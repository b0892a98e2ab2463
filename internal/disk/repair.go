package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/state"
	"github.com/glassq/glassq/internal/wal"
)

// A Salvage tells what can be kept of a damaged store, or was.
type Salvage struct {
	Refusal error // why a start refuses the store; nil when it does not
	Cannot  error // why the store cannot be salvaged; nil when it can
	Losses  []wal.Loss
	Cut     uint64             // position up to which everything is kept as it is
	Queues  []glassq.QueueInfo // as of Cut
	Runs    []glassq.Run       // as of Cut
	Again   map[string]int     // by queue: tasks put after Cut, which are put again
	ByRun   map[string]int     // the same by run; "" for none
	Refused int                // of these, refused as duplicates or beyond their run; known after the salvage
	Lost    int64              // tasks kept without their bodies: each goes dead when it is to be handed out
	Unread  wal.Unread         // before Cut; needed are bodies of tasks, which go dead when they are to be handed out
	Kept    string             // where the original is, when it was salvaged
	limit   uint64             // lease numbers below it may have been used
	low     wal.Pos            // lowest place of a body in no segment, as of Cut; 0 for none
	st      *state.State       // as of Cut
}

// Whole tells that a start takes everything. No salvage brings bodies back that are Unread.
func (s *Salvage) Whole() bool { return s.Refusal == nil && len(s.Losses) == 0 }

// Repair reads the store in dir, which no server may use, and tells what of it can be kept. Whether
// something is wrong is what a start says, on an overlay of the folder, and whether it can be
// salvaged is what a start says of the outcome, likewise; so a salvage that is announced works, but
// for the disk.
//
// With salvage it then makes a new store of what can be kept in dir, and the original is kept
// beside it under another name. Up to the first loss after the last whole checkpoint everything is
// kept as it is. Tasks put after that are put again, whether or not they were done since: the acks
// behind a gap cannot be matched with their tasks. Bodies that were moved behind the gap are given
// back to their tasks.
//
// A salvage that was killed is begun anew, or finished when only the folders had still to change
// their names.
func Repair(dir string, salvage bool) (*Salvage, error) {
	fresh := dir + salvagedSuffix
	if _, err := os.Stat(dir); err != nil {
		if _, ferr := os.Stat(fresh); ferr != nil || wal.Finished(wal.DirFS(fresh)) != nil {
			return nil, err
		}
		if !salvage {
			return nil, glassq.Errorf(glassq.CodeStorage,
				"%s is not there, but %s is: a salvage was cut off when it was done; --salvage gives it its name", dir, fresh)
		}
		if err := rename(fresh, dir); err != nil {
			return nil, err
		}
	}
	fsys := wal.DirFS(dir)
	lock, err := wal.LockDir(fsys)
	if err != nil {
		return nil, openErr(err)
	}
	defer lock.Close()
	if err := wal.Finished(fsys); err != nil {
		return nil, openErr(fmt.Errorf("%s: %w", dir, err))
	}
	refusal := judge(fsys)
	if refusal != nil && glassq.CodeOf(refusal) != glassq.CodeDamaged {
		return nil, refusal
	}
	s, v, err := survey(fsys)
	if err != nil {
		return nil, err
	}
	if s.Refusal = why(refusal); s.Whole() {
		return s, nil
	}
	over := wal.NewOverlay(fsys)
	if s.Cannot = v.Cut(over, wal.Pos(s.Cut), s.low); s.Cannot == nil {
		s.Cannot = why(judge(over))
	}
	if s.Cannot == nil {
		s.Cannot = roomBeside(dir, over)
	}
	if _, err := wal.Vacant(fresh); err != nil && s.Cannot == nil {
		s.Cannot = fmt.Errorf("%w, and is in the way, of an earlier salvage perhaps; move it away", err)
	}
	if !salvage {
		return s, nil
	}
	if s.Cannot != nil {
		return s, glassq.Errorf(glassq.CodeDamaged, "%s cannot be salvaged: %w; it is as it was", dir, s.Cannot)
	}
	_, err = fill(fresh, func(dst wal.FS) (Copied, error) {
		if _, err := wal.Copy(over, dst); err != nil {
			return Copied{}, err
		}
		if err := s.build(v, fresh); err != nil {
			return Copied{}, err
		}
		return Copied{}, judge(dst)
	})
	if err != nil {
		return s, fmt.Errorf("make %s: %w; %s is as it was", fresh, err, dir)
	}
	s.Kept = fmt.Sprintf("%s.damaged-%s", dir, time.Now().UTC().Format("20060102T150405"))
	if err := rename(dir, s.Kept); err != nil {
		return s, err
	}
	return s, rename(fresh, dir)
}

const salvagedSuffix = ".salvaged"

// rename makes the new name durable.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return wal.DirFS(filepath.Dir(to)).SyncDir()
}

// judge tells why a start refuses the log in fsys, or nil. Nothing is changed in it.
func judge(fsys wal.FS) error {
	over := wal.NewOverlay(fsys)
	e, err := Open("", Options{FS: over, MinFree: Watermark{Bytes: -1}, filling: true})
	if err != nil {
		return err
	}
	over.Forget() // what Close writes
	e.Close()     // it is over, whatever it says
	return nil
}

// why is err without what a start adds for somebody who does not know of Repair yet.
func why(err error) error {
	if e, ok := errors.AsType[*glassq.Error](err); ok && e.Code == glassq.CodeDamaged && e.Err != nil {
		return e.Err
	}
	return err
}

// roomBeside refuses a salvage for which the disk of dir has no room.
func roomBeside(dir string, over wal.FS) error {
	disk, ok := wal.DirFS(filepath.Dir(dir)).(wal.Spacer)
	if !ok {
		return nil
	}
	free, _, err := disk.Space()
	if err != nil {
		return nil // the salvage finds out
	}
	need, err := wal.Size(over)
	if err == nil && free < need {
		err = fmt.Errorf("its copy takes %d bytes, and the disk has %d; make room on it", need, free)
	}
	return err
}

// survey looks at what is there, as far as it reads.
func survey(fsys wal.FS) (s *Salvage, v *wal.Survey, err error) {
	var bad *wal.Loss // a frame that does not apply
	for err = errFound; errors.Is(err, errFound); {
		s, v, bad, err = surveyUpTo(fsys, bad)
	}
	if err != nil {
		return nil, nil, openErr(err)
	}
	return s, v, nil
}

// errFound is that of a frame which does not apply.
var errFound = errors.New("a frame does not apply")

// surveyUpTo is survey that takes what comes from bad on, if that is not nil, as behind a gap. It
// returns a frame that does not apply and has to be bad, with errFound.
func surveyUpTo(fsys wal.FS, bad *wal.Loss) (_ *Salvage, _ *wal.Survey, found *wal.Loss, err error) {
	v, err := wal.NewSurvey(fsys)
	if err != nil {
		return nil, nil, nil, err
	}
	s := &Salvage{Again: map[string]int{}, ByRun: map[string]int{}}
	var sp state.Space
	hooks := state.Hooks{
		Live: func(f uint64, n, _ int64) {
			s.Unread.Count(posOf(f), 1)
			before := sp.Lost
			if sp.Add(f, state.Living{Tasks: 1, Bytes: n}); sp.Lost > before && (s.low == 0 || posOf(f) < s.low) {
				s.low = posOf(f)
			}
		},
		Dropped: func(f uint64, n int64) {
			s.Unread.Count(posOf(f), -1)
			sp.Add(f, state.Living{Tasks: -1, Bytes: -n})
		},
	}
	var st *state.State
	var from wal.Pos
	for _, from = range append(slices.Clip(v.Checkpoints), 0) { // without one, from the beginning
		if bad != nil && from > bad.From {
			continue
		}
		sp, s.low = state.Space{}, 0
		if s.Unread, err = v.Unread(from); err != nil {
			return nil, nil, nil, err
		}
		sp.Know(extents(v.Segments()))
		st = state.New(hooks)
		if from == 0 || v.ReadCheckpoint(from, st.Restore) == nil {
			break
		}
	}
	cut, gone := from, false
	lost := int64(-1) // as of the cut
	seen := state.NewBehind(st)
	err = v.Frames(from, func(f wal.Frame, after bool) error {
		if !after && !gone && (bad == nil || f.Pos < bad.From) {
			st.Advance(f.Time)
			if off, err := st.ApplyAll(f.Payload, idOf(f.Pos)); err != nil {
				found = v.Lost(f.Pos, fmt.Errorf("record at %d: %w", off, err))
				return errFound
			}
			cut = wal.After(f.Pos, len(f.Payload))
			return nil
		}
		if !gone {
			gone, lost = true, sp.Lost
		}
		err := seen.Each(f.Payload, f.Time, func(t glassq.Task) error {
			s.Again[t.Queue] += int(t.Tasks())
			s.ByRun[t.Run] += int(t.Tasks())
			return nil
		}, func(rec []byte) error { // its body is there
			_, err := st.Apply(rec, idOf(f.Pos), 0)
			return err
		})
		if err != nil {
			v.Losses = append(v.Losses, *v.Lost(f.Pos, err))
		}
		return nil
	})
	if err != nil {
		return nil, nil, found, err
	}
	if bad != nil {
		v.Losses = append(v.Losses, *bad)
	}
	s.Lost = max(sp.Lost, 0)
	if !gone {
		lost = sp.Lost
	}
	if lost == 0 {
		s.low = 0
	} else if len(v.Losses) == 0 {
		v.Losses = append(v.Losses, wal.Loss{File: "log", From: s.low,
			Err: errors.New("a segment is missing in which tasks lie")})
	}
	s.Losses, s.Cut, s.st = v.Losses, uint64(cut), st
	// A lease takes some bytes of the log, and a start, which skips a block of numbers, a frame: so
	// many numbers at most were handed out behind the gap.
	s.limit = st.Limit() + 2*engine.NumberBlock + uint64(max(v.End, cut)-cut)<<15
	for _, q := range st.Queues() {
		s.Queues = append(s.Queues, q.Info())
	}
	for _, r := range st.Runs() {
		s.Runs = append(s.Runs, st.RunInfo(r))
	}
	return s, v, nil, nil
}

// build adds to the copy in dir what lies behind the gap.
func (s *Salvage) build(v *wal.Survey, dir string) error {
	// Nothing of it counts before all is there, and Close syncs.
	e, err := Open(dir, Options{MinFree: Watermark{Bytes: -1}, Sync: SyncNever, filling: true})
	if err != nil {
		return err
	}
	seen := state.NewBehind(s.st)
	err = e.SkipNumbers(func(uint64) uint64 { return s.limit })
	if err == nil {
		err = v.Frames(wal.Pos(s.Cut), func(f wal.Frame, _ bool) error {
			var tasks []glassq.Task
			bad := seen.Each(f.Payload, f.Time, func(t glassq.Task) error {
				tasks = append(tasks, t)
				return nil
			}, func(rec []byte) error {
				_, err := e.Move(rec)
				return err
			})
			if bad != nil && !errors.Is(bad, state.ErrRecord) { // else it is among the losses
				return bad
			}
			return s.putAgain(e, tasks)
		})
	}
	return errors.Join(err, e.Close())
}

// putAgain puts tasks, and leaves out those that the store refuses.
func (s *Salvage) putAgain(e *Engine, tasks []glassq.Task) error {
	receipts, err := e.Put(context.Background(), tasks)
	if errors.Is(err, glassq.ErrRunConflict) || errors.Is(err, glassq.ErrQueueFull) {
		parts := tasks // some of which may find room
		if len(tasks) == 1 {
			if parts = nil; tasks[0].Tasks() > 1 {
				halves := tasks[0].Halves()
				parts = halves[:]
			} else {
				s.Refused++
			}
		}
		for i := range parts {
			if err := s.putAgain(e, parts[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	for i, r := range receipts {
		if r.Duplicate {
			s.Refused += int(tasks[i].Tasks())
		} else if t := &tasks[i]; t.Range != nil {
			s.Refused += int(t.Range.Count - r.Put)
		}
	}
	return err
}
