package cluster

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/glassq/glassq"
)

// Restore makes a store of an archive, on ground where there is none, and returns how many tasks it
// took over. The store is there when it returns nil: until then no gateway opens what it has
// written, and after an error somebody deletes the log.
//
// Errors: bad_request where there is a store already, those of engine.StartFrom, or that of ctx.
func Restore(ctx context.Context, g Ground, from io.Reader, opt Options) (int64, error) {
	s := &Store{ground: g, opt: opt.withDefaults(), id: newID()}
	text, _, err := g.Hints.Get(ctx, storeKey)
	if err != nil {
		return 0, err
	}
	info, err := g.Log.Info(ctx)
	switch {
	case err != nil:
		return 0, err
	case text != nil:
		return 0, glassq.Errorf(glassq.CodeBadRequest,
			"there is a store already, its log has %d messages: restore into a new one, or delete this one", info.Last)
	case info.Last > 0:
		return 0, glassq.Errorf(glassq.CodeBadRequest, "%w: delete the log, or restore into another NAME", strayLog(info.Last))
	}
	t := s.taker()
	r, err := t.take(ctx)
	if err != nil {
		return 0, err
	}
	go r.run()
	defer context.AfterFunc(ctx, r.abandon)()
	tasks, err := r.engine.StartFrom(from)
	if err == nil {
		err = r.engine.Close()
		r.closed.Store(true)
	}
	r.stop()
	if err == nil {
		err = s.found(ctx, 0)
	}
	if err != nil {
		return 0, fmt.Errorf("%w; what was written is no store: delete its log before the next try, or take another NAME", err)
	}
	return tasks, nil
}

// strayLog says what a log may be that belongs to no store.
func strayLog(messages uint64) error {
	return lost("there is a log of %d messages, and nothing that says which store it is of: a restore is under way or did not end, or the hints were deleted", messages)
}

// Archive writes an archive of the store; see glassq.Archiver. Only the gateway that owns the store
// can; another one says which that is, with code unavailable.
func (s *Store) Archive(ctx context.Context, w io.Writer) error {
	if r := s.serving(); r != nil {
		return r.engine.Archive(ctx, w)
	}
	if err := s.refused(); err != nil {
		return err
	}
	owner, _ := s.heardOwner()
	if owner == "" {
		return glassq.Errorf(glassq.CodeUnavailable, "an archive is written by the gateway that owns the store, and none does now: try again")
	}
	s.mu.Lock()
	host := s.peers[owner].Host
	s.mu.Unlock()
	return glassq.Errorf(glassq.CodeUnavailable, "an archive is written by the gateway that owns the store: ask %s, on host %s", owner, cmp.Or(host, "unknown"))
}

// found writes down which store this is: from then on there is one.
func (s *Store) found(ctx context.Context, revision uint64) error {
	text, err := json.Marshal(identity{Store: hex.EncodeToString(s.id[:]), Format: formatNow, Shards: 1,
		Made: s.opt.Wall().UTC()})
	if err == nil {
		_, err = s.ground.Hints.Set(ctx, storeKey, text, revision)
	}
	return err
}
