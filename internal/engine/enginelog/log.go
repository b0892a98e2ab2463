// Package enginelog is a log in memory for tests of internal/engine: it may answer within Commit,
// as a disk does, or later and for several frames at a time, as a log of several machines does; it
// may fail frames and lose what was not durable.
package enginelog

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
)

// perExtent is how many frames an extent has.
const perExtent = 8

// A Store is what outlives a process.
type Store struct {
	mu      sync.Mutex
	frames  map[uint64]engine.Stored // by id
	last    uint64                   // the newest id
	durable uint64                   // up to this id a power cut loses nothing
	seen    time.Time                // when the newest frame, or a checkpoint after it, was stored
	freed   map[uint64]bool          // extents, by number
	points  []point                  // newest first, two at most
}

// A point is a checkpoint: the state before the frame at.
type point struct {
	at    uint64
	state []byte
}

// NewStore makes an empty store.
func NewStore() *Store {
	return &Store{frames: map[uint64]engine.Stored{}, freed: map[uint64]bool{}}
}

// Options say how a log answers.
type Options struct {
	Later  bool                        // frames are answered by a goroutine, not within Commit
	Delay  time.Duration               // with Later: how long each takes
	Fail   func(f *engine.Frame) error // why a frame fails, or nil; outcome_unknown stores it all the same
	Policy engine.Policy
	From   io.Reader    // an archive to start from, for a store in which there is nothing; nil is none
	Read   func() error // why a frame does not read now; nil reads
	Room   func() error // asked while the engine is told that the log is tight; nil has room
}

// A Log is a log in a Store, and the engine over it.
type Log struct {
	Engine *engine.Engine
	store  *Store
	opt    Options
	given  chan *engine.Frame
	wg     sync.WaitGroup
	once   sync.Once // Close

	cut  bool          // the process is dead: nothing is stored any more; Store.mu
	next *engine.Frame // is answered next; Store.mu
}

var _ engine.Log = (*Log)(nil)

// Open makes an engine over what is in s. The caller must Close the log.
func Open(s *Store, opt Options, e engine.Options) (*Log, error) {
	l := &Log{store: s, opt: opt, given: make(chan *engine.Frame, max(opt.Policy.Window, 1))}
	l.Engine = engine.New(l, opt.Policy, e)
	from := uint64(1)
	for _, p := range s.points {
		restore := func(do func(io.Reader) error) error { return do(bytes.NewReader(p.state)) }
		if err := l.Engine.RestoreState(restore); err == nil {
			from = p.at
			break
		}
	}
	for id := from; id <= s.last; id++ {
		if err := l.Engine.ReplayFrame(id, s.frames[id]); err != nil {
			return nil, err
		}
	}
	if opt.Later {
		l.wg.Go(l.answer)
	}
	if opt.From != nil {
		_, err := l.Engine.StartFrom(opt.From)
		if err != nil {
			l.once.Do(func() { close(l.given) })
			l.wg.Wait()
			return nil, err
		}
		return l, nil
	}
	return l, l.Engine.Start()
}

// Close closes the engine and ends the log.
func (l *Log) Close() error {
	err := l.Engine.Close()
	l.once.Do(func() { close(l.given) })
	l.wg.Wait()
	return err
}

// Seen is when the newest frame was stored, or a checkpoint after it: a start for a clock that
// follows the log.
func (s *Store) Seen() time.Time { return s.seen }

// Kill cuts the log off from its store, as the death of the process does: the frame that would be
// answered next is stored, and nobody hears of it. power loses what is not durable, too.
func (l *Log) Kill(power bool) {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.cut = true; l.next != nil {
		s.keep(l.next, true)
	}
	for ; power && s.last > s.durable; s.last-- {
		delete(s.frames, s.last)
	}
}

func (s *Store) keep(f *engine.Frame, durable bool) {
	s.frames[f.ID] = engine.Stored{Time: f.Time, Records: bytes.Clone(f.Buf[headSize:])}
	if s.last, s.seen = f.ID, time.Now(); durable {
		s.durable = f.ID
	}
}

const headSize = 3

func (l *Log) Head() int { return headSize }

func (l *Log) Next() uint64 { return l.store.last + 1 }

func (l *Log) After(id uint64, _ int) uint64 { return id + 1 }

func (l *Log) Commit(f *engine.Frame) {
	if l.opt.Later {
		l.given <- f
		return
	}
	l.land(f)
}

// answer answers frames, one after the other.
func (l *Log) answer() {
	for f := range l.given {
		l.store.mu.Lock()
		if !l.cut {
			l.next = f
		}
		l.store.mu.Unlock()
		time.Sleep(l.opt.Delay)
		l.land(f)
	}
}

var errGone = glassq.Errorf(glassq.CodeUnavailable, "the log is gone, the frame is not in it")

// land stores a frame, or not, and answers it.
func (l *Log) land(f *engine.Frame) {
	var err error
	if l.opt.Fail != nil {
		err = l.opt.Fail(f)
	}
	s := l.store
	s.mu.Lock()
	begun := l.next == f
	l.next = nil
	switch {
	case l.cut && begun:
		err = glassq.ErrUnknown
	case l.cut:
		err = errGone
	case err == nil || errors.Is(err, glassq.ErrUnknown):
		s.keep(f, l.opt.Later || f.Durable || f.Waited)
	}
	l.cut = l.cut || err != nil
	s.mu.Unlock()
	if err != nil {
		f.Failed(err)
		return
	}
	if !l.opt.Later {
		f.Written()
	}
	if f.ID%perExtent == 0 {
		l.Engine.ExtentsGrew()
	}
	f.Done(time.Time{})
}

func (l *Log) Read(id uint64, _ []byte) (engine.Stored, error) {
	if l.opt.Read != nil {
		if err := l.opt.Read(); err != nil {
			return engine.Stored{}, err
		}
	}
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	f, ok := l.store.frames[id]
	if !ok {
		return f, engine.Damaged(errors.New("no frame"))
	}
	return f, nil
}

func (l *Log) Room(engine.Kind, int) error {
	if l.opt.Room == nil {
		return nil
	}
	return l.opt.Room()
}

func (l *Log) Checkpoint(at uint64, write func(io.Writer) error) (oldest, size uint64, err error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return 0, 0, err
	}
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.cut {
		return 0, 0, errGone
	}
	s.durable = max(s.durable, at-1)
	if s.last < at {
		s.seen = time.Now()
	}
	s.points = slices.Insert(s.points, 0, point{at, b.Bytes()})
	s.points = s.points[:min(len(s.points), 2)]
	return s.points[len(s.points)-1].at, uint64(b.Len()), nil
}

func (l *Log) Extents() (list []engine.Extent) {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for no := uint64(0); no <= s.last/perExtent; no++ {
		x := engine.Extent{No: no, First: no * perExtent, End: (no + 1) * perExtent, Sealed: no < s.last/perExtent}
		for id := x.First; id < x.End; id++ {
			x.Frames += int64(len(s.frames[id].Records))
		}
		if x.Bytes = x.Frames; !s.freed[no] {
			list = append(list, x)
		}
	}
	return list
}

func (l *Log) Free(x engine.Extent) error {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := x.First; id < x.End && !l.cut; id++ {
		s.freed[x.No] = true
		delete(s.frames, id)
	}
	return nil
}

func (l *Log) Idle(time.Time) time.Time { return time.Time{} }
