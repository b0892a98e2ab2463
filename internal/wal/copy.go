package wal

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// A Copying is a copy of a log that goes on meanwhile, as of a checkpoint: that, and the segments
// up to it. It is used by one goroutine.
type Copying struct {
	l     *Log
	pos   Pos
	point File
	segs  []Segment
}

// BeginCopy makes the checkpoint at pos the end of a copy. Until Close the caller removes no
// segment; the checkpoint may go. Safe for concurrent use.
func (l *Log) BeginCopy(pos Pos) (*Copying, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	c := &Copying{l: l, pos: pos}
	for i, s := range l.Segments() {
		if s.First < pos || i == 0 {
			c.segs = append(c.segs, s)
		}
	}
	var err error
	c.point, err = l.fs.Open(checkpointName(pos))
	return c, err
}

// Close ends the copy.
func (c *Copying) Close() error { return c.point.Close() }

// Files passes on the files of the copy; the format file is the last. The bytes are valid during a
// call.
func (c *Copying) Files(file func(name string, size int64, r io.Reader) error) error {
	size, err := c.point.Size()
	if err != nil {
		return err
	}
	for i, s := range c.segs {
		if err := c.segment(s, i == len(c.segs)-1, file); err != nil {
			return err
		}
	}
	if err := file(checkpointName(c.pos), size, io.NewSectionReader(c.point, 0, size)); err != nil {
		return err
	}
	text := formatText(c.l.uuid)
	return file(formatName, int64(len(text)), strings.NewReader(text))
}

// segment passes on a segment: the last one up to the checkpoint, and without the seal that it may
// have got since, which speaks of more.
func (c *Copying) segment(s Segment, last bool, file func(string, int64, io.Reader) error) error {
	end := s.End
	if last {
		end = c.pos
	}
	size := pageSize + max(int64(end-s.First), 0)
	f, err := c.l.fs.Open(segmentName(s.No)) // a handle of its own: the shared one is closed at times
	if err != nil {
		return err
	}
	defer f.Close()
	page := make([]byte, pageSize)
	if n, err := f.ReadAt(page, 0); n < pageSize {
		return fmt.Errorf("read %s: %w", segmentName(s.No), err)
	}
	parts := []io.Reader{bytes.NewReader(page), io.NewSectionReader(f, pageSize, size-pageSize)}
	if last {
		clear(page[sealOffset : sealOffset+sealSize])
		whole, err := f.Size() // a shorter file would be damage
		if err != nil {
			return err
		}
		parts = append(parts, io.LimitReader(noughts{}, whole-size))
		size = max(size, whole)
	}
	return file(segmentName(s.No), size, io.MultiReader(parts...))
}

// noughts is a reader of zeros without end.
type noughts struct{}

func (noughts) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// Copied tells whether the file called name is part of a copy.
func Copied(name string) bool {
	_, seg := parseHexName(name, "segment-", ".log")
	_, point := parseHexName(name, "checkpoint-", "")
	return seg || point || name == formatName
}

// Size is how many bytes the files of a copy of fsys have.
func Size(fsys FS) (total int64, err error) {
	names, err := fsys.List()
	for _, name := range names {
		if err != nil || !Copied(name) {
			continue
		}
		var f File
		if f, err = fsys.Open(name); err == nil {
			var size int64
			size, err = f.Size()
			total += size
			f.Close()
		}
	}
	return total, err
}

// Receive writes one file of a copy, synced; its name is durable after the next SyncDir. Names that
// are none of a log's files are refused.
func Receive(to FS, name string, size int64, r io.Reader) error {
	if !Copied(name) {
		return fmt.Errorf("%.100q is not the name of a file of a copy", name)
	}
	f, err := to.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(io.NewOffsetWriter(f, 0), r)
	switch {
	case err != nil:
		return fmt.Errorf("write %s: %w", name, err)
	case n != size:
		return fmt.Errorf("write %s: %d bytes of %d came", name, n, size)
	}
	return f.Sync()
}
