//go:build !linux

package memcache

import "errors"

// A poll is not built for this system: every connection has a goroutine of its own.
type poll struct{}

func loops() int { return 0 }

func newPoll() (*poll, error)                  { return nil, errors.ErrUnsupported }
func (*poll) wait(to []int32) ([]int32, error) { return nil, errors.ErrUnsupported }
func (*poll) more(to []int32) ([]int32, error) { return nil, errors.ErrUnsupported }
func (*poll) add(int32) error                  { return errors.ErrUnsupported }
func (*poll) remove(int32)                     {}
func (*poll) wake()                            {}
func (*poll) close()                           {}
