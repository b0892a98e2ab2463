package wal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Loss is a stretch of the log that does not read.
type Loss struct {
	File     string
	Offset   int64 // bytes from the start of File
	From, To Pos   // To is 0 when the end is not known
	Err      error
	Needed   int64 // how much lies there that somebody needs, see Unread
}

// Unread are stretches that do not read and have an end, ascending.
type Unread []Loss

// Count adds n to what is needed of the stretch that pos lies in, if there is one.
func (u Unread) Count(pos Pos, n int64) {
	i, _ := slices.BinarySearchFunc(u, pos, func(l Loss, pos Pos) int { return cmp.Compare(l.To, pos+1) })
	if i < len(u) && u[i].From <= pos {
		u[i].Needed += n
	}
}

// Needed is how much is needed of all stretches.
func (u Unread) Needed() (n int64) {
	for i := range u {
		n += u[i].Needed
	}
	return n
}

func (l Loss) String() string {
	return (&CorruptError{File: l.File, Offset: l.Offset, From: l.From, To: l.To, Err: l.Err}).Error()
}

// A Survey is what can be read of a damaged log. Nothing is changed by it.
type Survey struct {
	fs          FS
	uuid        [16]byte
	segs        []*segment
	ends        []Pos // of segs; of the last one 0
	Checkpoints []Pos // whole ones, newest first
	Losses      []Loss
	End         Pos   // of the last frame that reads
	Torn        int64 // bytes of an unfinished write behind it: no loss, a start leaves them out
	witness     Pos   // everything before it was durable
}

// NewSurvey looks at the files of a log: which segments and checkpoints are whole. The
// caller keeps others from the directory. A newer program's log is not damaged, but
// ErrFormat.
func NewSurvey(fsys FS) (*Survey, error) {
	names, err := fsys.List()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	v, format := &Survey{fs: fsys}, &Log{fs: fsys}
	if slices.Contains(names, formatName) {
		err := format.readFormat()
		if c, ok := errors.AsType[*CorruptError](err); ok {
			v.Losses = append(v.Losses, Loss{File: formatName, Err: c.Err})
		} else if err != nil {
			return nil, err
		}
	}
	var uuids [][16]byte
	for _, name := range names {
		no, ok := parseHexName(name, "segment-", ".log")
		if !ok {
			continue
		}
		s, uuid, end, err := loadSegment(fsys, no)
		if c, ok := errors.AsType[*CorruptError](err); ok && !errors.Is(err, ErrFormat) {
			v.Losses = append(v.Losses, Loss{File: name, Offset: c.Offset, Err: c.Err})
			continue
		}
		if err != nil {
			return nil, err
		}
		v.segs, v.ends, uuids = append(v.segs, s), append(v.ends, end), append(uuids, uuid)
	}
	v.uuid = mostOf(uuids, format.uuid)
	for i := len(v.segs) - 1; i >= 0; i-- {
		foreign := uuids[i] != v.uuid
		if foreign {
			v.Losses = append(v.Losses, Loss{File: v.segs[i].name(), Err: errors.New("segment of another log")})
		}
		if foreign || i+1 < len(v.segs) && v.segs[i+1].first == v.segs[i].first { // written anew
			v.segs, v.ends = slices.Delete(v.segs, i, i+1), slices.Delete(v.ends, i, i+1)
		}
	}
	for _, name := range names {
		pos, ok := parseHexName(name, "checkpoint-", "")
		if !ok {
			continue
		}
		err := v.ReadCheckpoint(Pos(pos), func(io.Reader) error { return nil })
		if c, ok := errors.AsType[*CorruptError](err); ok && !errors.Is(err, ErrFormat) {
			v.Losses = append(v.Losses, Loss{File: name, Offset: c.Offset, Err: c.Err})
		} else if err != nil {
			return nil, err
		} else {
			v.Checkpoints = append(v.Checkpoints, Pos(pos))
			v.witness = max(v.witness, Pos(pos))
		}
	}
	slices.Reverse(v.Checkpoints)
	if n := len(v.segs); n > 0 && v.segs[n-1].onDisk {
		v.Losses = append(v.Losses, Loss{File: segmentName(v.segs[n-1].no + 1), From: v.ends[n-1], Err: errMissing})
	}
	if n := len(v.segs); n > 0 && format.uuid != ([16]byte{}) && format.uuid != v.uuid {
		v.Losses = append(v.Losses, Loss{File: formatName, Err: fmt.Errorf("names another log than %s", v.segs[n-1].name())})
	}
	for i, s := range v.segs {
		switch {
		case i == len(v.segs)-1:
			v.ends[i] = 0
		case v.ends[i] > 0:
		case v.segs[i+1].no == s.no+1:
			v.ends[i] = v.segs[i+1].first
		default:
			if v.ends[i], err = (&Log{fs: fsys}).walk(s); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// mostOf is the name of a log: the one that most segments have, of equals the one that the format
// file has too.
func mostOf(uuids [][16]byte, format [16]byte) (most [16]byte) {
	count := map[[16]byte]int{}
	for _, u := range uuids {
		if count[u]++; count[u] > count[most] || count[u] == count[most] && most != format {
			most = u
		}
	}
	return most
}

// Segments lists the segments whose pages read, oldest first. The end of the last is not known: 0.
func (v *Survey) Segments() []Segment {
	out := make([]Segment, len(v.segs))
	for i, s := range v.segs {
		out[i] = Segment{No: s.no, First: s.first, End: v.ends[i], Sealed: i < len(v.segs)-1}
	}
	return out
}

// ReadCheckpoint calls read with the body of one of Checkpoints.
func (v *Survey) ReadCheckpoint(pos Pos, read func(io.Reader) error) error {
	f, err := v.fs.Open(checkpointName(pos))
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	uuid := v.uuid
	if uuid == ([16]byte{}) { // there is no segment to tell
		head := make([]byte, checkpointHead)
		n, err := f.ReadAt(head, 0)
		if err != nil && err != io.EOF {
			return err
		}
		uuid, _, _ = parseCheckpointHead(head[:n]) // verified below
	}
	if err := verifyCheckpoint(f, size, uuid, pos); err != nil {
		return err
	}
	v.uuid = uuid
	return read(io.NewSectionReader(f, checkpointHead, size-checkpointHead-checkpointTrail))
}

// Frames calls fn for every frame at or after from that reads, and notes in Losses what
// lies between them. after tells fn that something before the frame is lost.
func (v *Survey) Frames(from Pos, fn func(f Frame, after bool) error) error {
	end, after := from, false
	for i, s := range v.segs {
		if i+1 < len(v.segs) && v.segs[i+1].first <= from {
			continue
		}
		pos := max(s.first, from)
		if from == 0 && i == 0 {
			end = firstPos
		}
		if pos > end {
			v.Losses, after = append(v.Losses, Loss{File: s.name(), From: end, To: pos, Err: errMissing}), true
		}
		f, err := v.fs.Open(s.name())
		if err != nil {
			return err
		}
		size, err := f.Size()
		if err == nil {
			end, after, err = v.segment(s, f, size, pos, after, fn)
		}
		f.Close()
		if err != nil {
			return err
		}
	}
	v.End = end
	return nil
}

// Unread lists what does not read of the frames before upTo, a checkpoint, which a start leaves
// alone. Segments that were removed are no part of it.
func (v *Survey) Unread(upTo Pos) (Unread, error) {
	known := v.Losses
	defer func() { v.Losses = known }()
	v.Losses = nil
	for i, s := range v.segs {
		if s.first >= upTo {
			break
		}
		f, err := v.fs.Open(s.name())
		if err != nil {
			return nil, err
		}
		end := upTo
		if i+1 < len(v.segs) {
			end = min(end, v.ends[i])
		}
		size, err := f.Size()
		if err == nil {
			_, _, err = v.segment(s, f, size, s.first, false, func(f Frame, _ bool) error {
				if f.Pos >= upTo {
					return errEnough
				}
				return nil
			})
		}
		f.Close()
		if err != nil && !errors.Is(err, errEnough) {
			return nil, err
		}
		for j := range v.Losses {
			if l := &v.Losses[j]; l.To == 0 {
				l.To = max(end, l.From)
			}
		}
	}
	return slices.DeleteFunc(v.Losses, func(l Loss) bool { return l.From >= upTo }), nil
}

// errEnough ends a reading of frames where no more are wanted.
var errEnough = errors.New("enough frames")

// Lost makes a loss of a frame that reads.
func (v *Survey) Lost(pos Pos, err error) *Loss {
	l := &Loss{From: pos, Err: err}
	for _, s := range v.segs {
		if s.first <= pos {
			l.File, l.Offset = s.name(), s.offset(pos)
		}
	}
	return l
}

func (v *Survey) segment(s *segment, f File, size int64, pos Pos, after bool, fn func(Frame, bool) error) (Pos, bool,
	error) {
	w := window{f: f, size: size}
	for {
		h, body, err := readFrame(s, &w, pos)
		if err == nil {
			v.witness = max(v.witness, h.durable)
			if !h.mark() {
				if err := fn(Frame{Pos: pos, Time: h.time, Count: int(h.count), Payload: body}, after); err != nil {
					return pos, after, err
				}
			}
			pos += Pos(h.size())
			continue
		}
		bad, ok := errors.AsType[*frameError](err)
		if !ok {
			return pos, after, fmt.Errorf("read %s: %w", s.name(), err)
		}
		next, used, err := nextFrame(s, &w, pos)
		if err != nil {
			return pos, after, fmt.Errorf("read %s: %w", s.name(), err)
		}
		last := s == v.segs[len(v.segs)-1]
		if last && (next == 0 || v.witness <= pos) {
			proof, _, _, err := scan(s, f, size, s.first)
			if err != nil {
				return pos, after, fmt.Errorf("read %s: %w", s.name(), err)
			}
			v.witness = max(v.witness, proof)
		}
		if last && (next == 0 || v.witness <= pos) {
			if c, ok := errors.AsType[*CorruptError](s.short(size, pos)); ok {
				v.Losses = append(v.Losses, Loss{File: c.File, Offset: c.Offset, From: pos, Err: c.Err})
				return pos, true, nil
			}
		}
		if !used && (!last || v.witness <= pos) {
			return pos, after, nil // zeros to the end
		}
		if last && v.witness <= pos { // as a start takes it, see replay.tail
			v.Torn = size - s.offset(pos)
			return pos, after, nil
		}
		ends := next == 0 // with it the segment, up to the one that was begun behind it
		if i := slices.Index(v.segs, s) + 1; ends && !last && v.segs[i].no == s.no+1 {
			next = v.segs[i].first
		}
		v.Losses = append(v.Losses, Loss{File: s.name(), Offset: s.offset(pos), From: pos, To: next, Err: bad.err})
		if after = true; ends {
			return max(pos, next), after, nil
		}
		pos = next
	}
}

// nextFrame looks for the next good frame after pos; 0 is none. used tells whether
// anything but zeros is there.
func nextFrame(s *segment, w *window, pos Pos) (next Pos, used bool, err error) {
	for p := pos; ; p += frameAlign {
		b, err := w.at(s.offset(p), frameAlign)
		if err != nil {
			return 0, used, err
		}
		if len(b) < frameAlign {
			return 0, used, nil
		}
		used = used || !allZero(b)
		if p == pos || binary.LittleEndian.Uint32(b) != frameMagic {
			continue
		}
		if _, _, err := readFrame(s, w, p); err == nil {
			return p, used, nil
		}
	}
}

// Cut makes over, an overlay of the directory, a log of what lies before cut: segments, checkpoints
// and the format file. A start there finds a log that ends at cut, and nothing wrong with it but
// what lies before its checkpoint and does not read; a cut of 0 leaves no log. lost is the lowest
// position of a frame that is needed and in no segment, or 0: then segments without frames stand in
// for those that are missing, so that each such frame is found damaged when it is read.
func (v *Survey) Cut(over *Overlay, cut, lost Pos) error {
	kept := map[string]bool{}
	l := &Log{fs: over, uuid: v.uuid, ended: make(chan struct{})}
	if cut > 0 {
		var segs []*segment
		for i, s := range v.segs {
			if s.first < cut || i == 0 && s.first == cut {
				segs = append(segs, s)
			}
		}
		if len(segs) == 0 { // a checkpoint is all there is
			s, first := newSegment(1, cut), lost
			if first > 0 {
				s.first, lost = first, 0
			}
			if err := l.standIn(s, 0); err != nil {
				return err
			}
			segs = append(segs, s)
			kept[s.name()] = true
		}
		for i, end := 0, lost; i < len(segs) && lost > 0; i++ {
			if s := segs[i]; end < s.first && s.no > 1 {
				in := newSegment(s.no-1, end)
				if err := l.standIn(in, s.first); err != nil {
					return err
				}
				kept[in.name()] = true
			}
			end = v.ends[i]
		}
		for i, s := range segs {
			kept[s.name()] = true
			if i == len(segs)-1 {
				if err := cutSegment(over, s, cut); err != nil {
					return fmt.Errorf("cut %s: %w", s.name(), err)
				}
			}
		}
		for _, pos := range v.Checkpoints {
			kept[checkpointName(pos)] = pos <= cut
		}
	}
	names, err := over.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		if Copied(name) && !kept[name] {
			if err := over.Remove(name); err != nil {
				return err
			}
		}
	}
	if cut == 0 {
		return nil
	}
	return l.writeFormat()
}

// cutSegment makes s the last segment of a log that ends at cut.
func cutSegment(over *Overlay, s *segment, cut Pos) error {
	f, err := over.Open(s.name())
	if err != nil {
		return err
	}
	defer f.Close()
	err = f.Truncate(max(s.offset(cut), pageSize)) // longer, perhaps: what lies before a checkpoint may be gone
	if err == nil {
		_, err = f.WriteAt(make([]byte, sealSize), sealOffset)
	}
	if err == nil {
		err = stretch(f)
	}
	return err
}

// standIn makes s a segment of zeros that reaches to end, where it is sealed; 0 leaves it open.
func (l *Log) standIn(s *segment, end Pos) error {
	page := make([]byte, pageSize)
	s.encodeHead(page, l.uuid)
	if end > 0 {
		s.encodeSeal(page[sealOffset:sealOffset+sealSize], end)
	}
	return l.writeFile(s.name(), func(f File) error {
		if _, err := f.WriteAt(page, 0); err != nil {
			return err
		}
		return f.Truncate(max(s.offset(max(end, s.first)), pageSize)) // no blocks where the file system has holes
	})
}

// copyFile copies a file and syncs it. Long zeros are not written: they take no blocks where the
// file system has holes.
func copyFile(from, to FS, name string) error {
	src, err := from.Open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	size, err := src.Size()
	if err != nil {
		return err
	}
	dst, err := to.Create(name)
	if err != nil {
		return err
	}
	defer dst.Close()
	buf := make([]byte, readStep)
	for off := int64(0); off < size; {
		n, err := src.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		if n == 0 {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if !allZero(buf[:n]) {
			if _, err := dst.WriteAt(buf[:n], off); err != nil {
				return fmt.Errorf("write %s: %w", name, err)
			}
		}
		off += int64(n)
	}
	if err := dst.Truncate(size); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return dst.Sync()
}

// Copy copies the files of a whole, stopped log into an empty directory and syncs them.
func Copy(from, to FS) (files int, err error) {
	names, err := from.List()
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if !Copied(name) {
			continue
		}
		if err := copyFile(from, to, name); err != nil {
			return files, err
		}
		files++
	}
	return files, to.SyncDir()
}

// ErrNoLog: the directory holds no log.
var ErrNoLog = errors.New("the folder holds no store")

// LockDir takes a log's directory as Open does, for who copies or repairs it. Where there is no log,
// nothing is left in it. Errors: ErrNoLog, ErrLocked, or those of files.
func LockDir(fsys FS) (io.Closer, error) {
	names, err := fsys.List()
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(names, func(name string) bool {
		return name == formatName || name == unfinishedName || strings.HasPrefix(name, "segment-") ||
			strings.HasPrefix(name, "checkpoint-")
	}) {
		return nil, ErrNoLog
	}
	return fsys.Lock(lockName)
}

// stretch makes the copy of a segment, which may have been cut, as long as its page and its frames
// say that it was: else a start takes it for damage. The bytes are zeros.
func stretch(f File) error {
	page := make([]byte, pageSize)
	n, err := f.ReadAt(page, 0)
	if err != nil && err != io.EOF {
		return err
	}
	s, _, err := parseHead(page[:n])
	if err != nil {
		return nil // of a damaged log: whoever reads it says so
	}
	size, err := f.Size()
	if err == nil {
		_, _, _, err = scan(s, f, size, s.first)
	}
	if err == nil && size < s.room {
		err = f.Truncate(s.room)
	}
	return err
}
