package dispatch

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/glassq/glassq"
)

// Positions are some of the tasks of a source. The zero value is none; it is for one goroutine.
type Positions struct {
	set roaring.Bitmap
}

// ReadIDs reads a list of ids, one "<run>/<n>" a line, as an output writes it, and returns the run
// and the positions. A line may be a result as well, or a failed task as an output lists it. All
// must be of one run. A list without ids has the run "".
//
// A line that is no such id is a *LineError.
func ReadIDs(r io.Reader) (run string, p *Positions, err error) {
	p = new(Positions)
	in := newLineReader(r, NDJSON) // blanks around an id are not of it
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return run, p, nil
		}
		if err != nil {
			return "", nil, err
		}
		of, n, ok := glassq.ParseDenseID(listedID(line))
		switch {
		case !ok || glassq.CheckName(of) != nil:
			return "", nil, &LineError{Line: in.line, Err: glassq.Errorf(glassq.CodeBadRequest,
				"%.80q is not <run>/<n>, the id of a position of a run", bytes.TrimSpace(line))}
		case run != "" && run != of:
			return "", nil, &LineError{Line: in.line, Err: glassq.Errorf(glassq.CodeBadRequest,
				"%.80q is of another run than those before, %s; make a list for each run", line, run)}
		}
		run = of
		p.set.Add(n)
	}
}

// listedID is the id that a line of a list names.
func listedID(line []byte) string {
	var v struct {
		ID     string `json:"id"`
		Failed struct {
			ID string `json:"id"`
		} `json:"failed"`
	}
	if line[0] != '{' || json.Unmarshal(line, &v) != nil {
		return string(line)
	}
	return cmp.Or(v.Failed.ID, v.ID)
}

// resultColumns begin the first line of a file of results that is CSV; each other line is a result
// then.
const resultColumns = "id,run,ok,"

// ReadResultIDs reads which positions of a run a file of results has: JSON lines with an id, or the
// CSV that an output writes. A last line without its end does not count. A line that is no JSON
// object is a
// *LineError.
func ReadResultIDs(r io.Reader, run string) (*Positions, error) {
	p := new(Positions)
	in := newLineReader(r, NDJSON)
	add := func(id string) {
		if of, n, ok := glassq.ParseDenseID(id); ok && of == run && !in.torn {
			p.set.Add(n)
		}
	}
	rows := false
	for {
		line, err := in.next()
		if err == io.EOF {
			return p, nil
		}
		if err != nil {
			return nil, err
		}
		if in.line == 1 && bytes.HasPrefix(line, []byte(resultColumns)) {
			rows = true
			continue
		}
		if rows {
			id, _, _ := bytes.Cut(line, []byte(","))
			add(strings.TrimPrefix(string(id), "'")) // which guards spreadsheets from names such as -a
			continue
		}
		var v struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(line, &v); err != nil {
			if in.torn {
				return p, nil
			}
			return nil, &LineError{Line: in.line, Err: glassq.Errorf(glassq.CodeBadRequest, "not a result: %v", err)}
		}
		add(v.ID)
	}
}

// Remove takes those of o away.
func (p *Positions) Remove(o *Positions) { p.set.AndNot(&o.set) }

// Join adds those of o.
func (p *Positions) Join(o *Positions) { p.set.Or(&o.set) }

// Add adds an interval.
func (p *Positions) Add(iv glassq.Interval) { p.set.AddRange(uint64(iv.First), uint64(iv.Last)+1) }

// Count is how many there are.
func (p *Positions) Count() uint64 { return p.set.GetCardinality() }

func (p *Positions) has(n uint32) bool { return p.set.Contains(n) }

// next is the first position from n on.
func (p *Positions) next(n uint64) (uint64, bool) {
	if n >= MaxTasks {
		return 0, false
	}
	it := p.set.Iterator()
	it.AdvanceIfNeeded(uint32(n))
	if !it.HasNext() {
		return 0, false
	}
	return uint64(it.Next()), true
}

// describe tells these positions from others.
func (p *Positions) describe() string {
	sum := sha256.New()
	p.set.RunOptimize()
	if _, err := p.set.WriteTo(sum); err != nil {
		panic("dispatch: " + err.Error()) // a hash takes everything
	}
	return fmt.Sprintf("%d ids sha256:%x", p.Count(), sum.Sum(nil))
}
