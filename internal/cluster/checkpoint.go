package cluster

import (
	"bufio"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/glassq/glassq/internal/engine"
)

// A checkpoint is an object of the bucket: one line of JSON, then the state after the messages up
// to a point. It needs no fence: whoever wrote it, it is right if the log has that point. That it
// is there proves that the log once had it.
type checkpoint struct {
	Store   string          `json:"store"`
	Number  uint64          `json:"number"`
	Chain   uint64          `json:"chain"`
	Epoch   uint64          `json:"epoch"`
	Writer  uint64          `json:"writer"`
	Extents []engine.Extent `json:"extents"`
	Writers []writer        `json:"writers"`
}

const checkpointFor = time.Minute // writing or reading one

func nameOf(p point) string { return fmt.Sprintf("state-%020d-%016x", p.number, p.chain) }

// pointsIn finds the checkpoints among the names of a bucket, newest first.
func pointsIn(names []string) (list []point) {
	for _, name := range names {
		var p point
		if n, err := fmt.Sscanf(name, "state-%020d-%016x", &p.number, &p.chain); n == 2 && err == nil && nameOf(p) == name {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b point) int { return cmp.Compare(b.number, a.number) })
	return list
}

// Checkpoint writes the state before the message at into the bucket, and deletes all but two.
func (r *reign) Checkpoint(at uint64, write func(io.Writer) error) (oldest, size uint64, err error) {
	r.mu.Lock()
	p := point{at - 1, r.marks[at-1]}
	for n := range r.marks {
		if n < at {
			delete(r.marks, n)
		}
	}
	head := checkpoint{Store: hex.EncodeToString(r.store[:]), Number: p.number, Chain: p.chain, Epoch: r.epoch,
		Writer: r.writer, Writers: slices.Clone(r.writers)}
	for _, x := range r.extents {
		if x.First <= p.number {
			x.End = min(x.End, at)
			head.Extents = append(head.Extents, x)
		}
	}
	head.Extents[len(head.Extents)-1].Sealed = false // takes what comes
	points := slices.Clone(r.points)
	leaving := r.leaving
	r.mu.Unlock()
	if leaving && len(points) > 0 {
		return points[0].number + 1, 0, nil // the next owner waits: it replays a little more
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkpointFor)
	defer cancel()
	in, out := io.Pipe()
	counted := &counter{w: out}
	go func() { // ends with Put, which reads in or closes it
		b := bufio.NewWriterSize(counted, 256<<10)
		line, err := json.Marshal(head)
		if err == nil {
			_, err = b.Write(append(line, '\n'))
		}
		if err == nil {
			err = write(b)
		}
		if err == nil {
			err = b.Flush()
		}
		out.CloseWithError(err)
	}()
	err = r.bucket.Put(ctx, nameOf(p), in)
	in.CloseWithError(errors.New("the bucket takes no more"))
	if err != nil {
		return 0, 0, fmt.Errorf("write checkpoint %s: %w", p, err)
	}
	points = append(points, p)
	for len(points) > 2 {
		if err := r.bucket.Delete(ctx, nameOf(points[0])); err != nil {
			return 0, 0, fmt.Errorf("delete checkpoint %s: %w", points[0], err)
		}
		points = points[1:]
	}
	r.mu.Lock()
	r.points = points
	r.mu.Unlock()
	return points[0].number + 1, uint64(counted.n), nil
}

// A counter counts what goes through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
