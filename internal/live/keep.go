package live

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"time"
)

// keptFormat begins the file of series. A file that begins with anything else is of another
// program, and left out.
const keptFormat = "glassq-live 1\n"

// kept is the head of the file; as many series of queues follow as it says.
type kept struct {
	Saved   time.Time
	Server  []*ring
	Queues  int
	Courses []keptCourse
}

type keptQueue struct {
	Name         string
	Active, Rest []*ring
}

// save writes the series to a new file and puts it in the place of the old one. It syncs nothing:
// what a power cut takes are charts. The checksum at the end tells such a file.
func (l *Live) save() {
	if l.opt.File == "" {
		return
	}
	if err := l.write(l.opt.File + ".tmp"); err != nil {
		l.opt.Logger.Warn("charts not kept", "err", err)
		os.Remove(l.opt.File + ".tmp")
		return
	}
	if err := os.Rename(l.opt.File+".tmp", l.opt.File); err != nil {
		l.opt.Logger.Warn("charts not kept", "err", err)
	}
}

func (l *Live) write(name string) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := crc32.NewIEEE()
	b := bufio.NewWriterSize(io.MultiWriter(f, sum), 64<<10)
	b.WriteString(keptFormat)
	out := gob.NewEncoder(b)

	// One ring is copied at a time, so that calls wait for moments only.
	l.mu.Lock()
	head := kept{Saved: time.Now(), Courses: l.keepCourses()}
	for _, r := range l.server {
		head.Server = append(head.Server, r.clone())
	}
	var names []string
	for e := l.byAge.Front(); e != nil; e = e.Next() {
		if q := e.Value.(*queue); q.rest != nil {
			names = append(names, q.name)
		}
	}
	l.mu.Unlock()
	head.Queues = len(names)
	if err := out.Encode(&head); err != nil {
		return err
	}
	for _, name := range names {
		k := keptQueue{Name: name}
		l.mu.Lock()
		if q := l.byName[name]; q != nil {
			for _, r := range q.active {
				k.Active = append(k.Active, r.clone())
			}
			for _, r := range q.rest {
				k.Rest = append(k.Rest, r.clone())
			}
		}
		l.mu.Unlock()
		if err := out.Encode(&k); err != nil {
			return err
		}
	}
	if err := b.Flush(); err != nil {
		return err
	}
	_, err = f.Write(sum.Sum(nil))
	return err
}

func (r *ring) clone() *ring {
	return &ring{Step: r.Step, Last: r.Last, Samples: append([]Sample(nil), r.Samples...),
		Delays: append([]Latencies(nil), r.Delays...)}
}

// maxKept bounds the file of series, which is read as a whole.
const maxKept = 4 * maxRingBytes

// load takes in the series of the run before. A file that does not read is left out, and the log
// says so: the queue does not depend on it.
func (l *Live) load() {
	if l.opt.File == "" {
		return
	}
	switch err := l.read(l.opt.File); {
	case err == nil, errors.Is(err, fs.ErrNotExist):
	default:
		l.opt.Logger.Warn("charts of before do not read, they begin anew", "file", l.opt.File, "err", err)
	}
}

func (l *Live) read(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return fs.ErrNotExist // or the folder cannot be looked into, as the store says then
	}
	if info.Size() > maxKept || info.Size() < int64(len(keptFormat))+4 {
		return fmt.Errorf("%d bytes", info.Size())
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := crc32.NewIEEE()
	if _, err := io.CopyN(sum, f, info.Size()-4); err != nil {
		return err
	}
	var want [4]byte
	if _, err := io.ReadFull(f, want[:]); err != nil {
		return err
	}
	if string(sum.Sum(nil)) != string(want[:]) {
		return errors.New("the checksum does not fit")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	b := bufio.NewReader(io.LimitReader(f, info.Size()-4))
	begin := make([]byte, len(keptFormat))
	if _, err := io.ReadFull(b, begin); err != nil || string(begin) != keptFormat {
		return errors.New("it is of another version")
	}
	in := gob.NewDecoder(b)
	var head kept
	if err := in.Decode(&head); err != nil {
		return err
	}
	if fits(head.Server, serverRings, true) {
		l.server = head.Server
	}
	l.takeInCourses(head.Courses)
	for range head.Queues {
		var k keptQueue
		if err := in.Decode(&k); err != nil {
			return err
		}
		l.mu.Lock()
		l.takeIn(&k)
		l.mu.Unlock()
	}
	return nil
}

// takeIn gives a queue the rings that it had.
func (l *Live) takeIn(k *keptQueue) {
	if !fits(k.Rest, restRings, false) || l.byName[k.Name] != nil || len(l.byName) >= maxQueues {
		return
	}
	q := l.newQueue(k.Name)
	q.rest = k.Rest
	for _, r := range q.rest {
		l.bytes += r.bytes()
	}
	if fits(k.Active, activeRings, false) && len(l.active) < maxActive {
		q.active = k.Active
		l.active = append(l.active, q)
		for _, r := range q.active {
			l.bytes += r.bytes()
		}
	}
	l.toNewest(q)
}

// fits tells whether rings are those of resolutions.
func fits(rings []*ring, all []Resolution, delays bool) bool {
	if len(rings) != len(all) {
		return false
	}
	for i, r := range rings {
		if r == nil || r.Step != int64(all[i].Step/time.Second) || len(r.Samples) != all[i].Steps || r.Last < 0 ||
			delays && len(r.Delays) != all[i].Steps {
			return false
		}
		if !delays {
			r.Delays = nil
		}
	}
	return true
}
