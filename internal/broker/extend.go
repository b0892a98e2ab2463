package broker

import (
	"context"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/glassq/glassq"
)

// Extend checks extends and moves the deadlines; bad ones are answered for themselves.
func (b *Broker) Extend(ctx context.Context, extends []glassq.Extend) ([]error, error) {
	check := func(x *glassq.Extend) error { return b.checkExtend(ctx, x) }
	size := func(x *glassq.Extend) int {
		n := BytesOf(x.Put...)
		if x.Progress != nil {
			n += len(x.Progress.Checkpoint)
		}
		return n
	}
	return Batch(extends, check, func(some []glassq.Extend) ([]error, error) {
		return inParts(some, size, func(part []glassq.Extend) ([]error, error) { return b.store.Extend(ctx, part) })
	})
}

// checkExtend checks an extend, and cuts its note.
func (b *Broker) checkExtend(ctx context.Context, x *glassq.Extend) error {
	if err := checkLease(x.Lease); err != nil {
		return err
	}
	if x.Seq == 0 {
		if x.Progress != nil || len(x.Put) > 0 {
			return glassq.Errorf(glassq.CodeBadRequest,
				"an extend that says something needs seq: 1 for the first of its lease, then one more each time")
		}
		return nil
	}
	if p := x.Progress; p != nil {
		switch {
		case p.Done > 1 || math.IsNaN(p.Done):
			return glassq.Errorf(glassq.CodeBadRequest, "progress %v is not 0 to 1, the share of the work that is done", p.Done)
		case len(p.Checkpoint) > glassq.MaxCheckpoint:
			return glassq.Errorf(glassq.CodeTooLarge,
				"checkpoint of %d bytes; the limit is %d: keep what is larger elsewhere, and its place here", len(p.Checkpoint),
				glassq.MaxCheckpoint)
		case len(p.Note) > glassq.MaxNote || !utf8.ValidString(p.Note):
			cut := *p
			cut.Note = strings.ToValidUTF8(p.Note[:min(len(p.Note), glassq.MaxNote)], "")
			x.Progress = &cut
		}
	}
	return b.checkTasks(ctx, x.Put)
}
