package broker

import (
	"math"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/template"
)

// checkRange checks what a task with a range has beside others.
func (b *Broker) checkRange(t *glassq.Task) error {
	r := t.Range
	last := uint64(t.Position) + r.Count - 1
	switch {
	case !t.Dense || t.Run == "" || t.ID != "":
		return glassq.Errorf(glassq.CodeBadRequest, "a range is of positions of a run: give it a run, and no id")
	case r.Count == 0 || r.Count > glassq.MaxPositions-uint64(t.Position):
		return glassq.Errorf(glassq.CodeBadRequest, "a range of %d tasks from position %d on: it has at least one, and a run at most %d",
			r.Count, t.Position, uint64(glassq.MaxPositions))
	case r.Add > math.MaxUint64-last:
		return glassq.Errorf(glassq.CodeBadRequest, "a range from number %d on has numbers beyond %d", r.Add, uint64(math.MaxUint64))
	}
	made := template.Parse(t.Body)
	if size := made.Size(r.Add + last); int64(size) > b.maxBody.Load() {
		return glassq.Errorf(glassq.CodeTooLarge, "the last body of the range has %d bytes; the limit is %d", size, b.maxBody.Load())
	}
	return nil
}
