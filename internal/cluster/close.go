package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/glassq/glassq"
)

// retire ends a reign: what is with the log is waited for, unless the store is left at once.
func (s *Store) retire(ctx context.Context, r *reign) {
	abandon := time.AfterFunc(closeFor, r.abandon)
	defer abandon.Stop()
	if s.atOnce.Load() {
		r.abandon()
	}
	r.mu.Lock()
	r.leaving = true
	r.mu.Unlock()
	err := r.engine.Close()
	r.closed.Store(true)
	r.stop()
	switch {
	case fatal(err):
		s.fail(err)
	case ctx.Err() == nil:
		s.opt.Logger.Info("this gateway owns the store no more", "why", err)
		if d, ok := errors.AsType[*deposed](err); ok && d.void {
			s.mu.Lock()
			s.left = s.epoch == r.epoch // nobody has come; else the queue stands still until others miss the signs of life
			s.mu.Unlock()
		}
	case err == nil:
		s.mu.Lock()
		s.high = witness{r.sureOf(), "this gateway"}
		s.mu.Unlock()
		s.sign(ctx, leaves) // else others miss the signs of life
	}
}

// fail refuses everything from now on: the log is not what it was.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		s.opt.Logger.Error("the store is lost, this gateway stops", "err", err)
		close(s.failed)
		s.change()
		s.cancel()
	}
}

// Failed is closed when the log was found to be behind what was confirmed, or damaged: the store
// refuses everything from then on, and the server should exit. Failure says why.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Failure is why the store has failed, or nil.
func (s *Store) Failure() error {
	select {
	case <-s.failed:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.err
	default:
		return nil
	}
}

// Close leaves the store. An owner commits everything and tells the others that it goes; another
// gateway takes over at once. Calls that wait end with code closed. When the log does not answer
// for 10 s it is left as it is. A second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	r, failed := s.reign, s.err
	s.mu.Unlock()
	if r != nil && failed == nil && !s.atOnce.Load() {
		// The state is in the bucket before anybody has to wait.
		abandon := time.AfterFunc(closeFor, r.abandon)
		defer abandon.Stop()
		if err := r.engine.Checkpoint(nil); err != nil {
			s.opt.Logger.Warn("no checkpoint was written before this gateway goes", "err", err)
		}
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if s.err == nil {
		s.err = glassq.Errorf(glassq.CodeClosed, "the store is closed")
	}
	s.change()
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	s.calls.close()
	s.served.close()
	for _, stop := range s.stops {
		stop()
	}
	return errors.Join(failed, s.remember())
}
