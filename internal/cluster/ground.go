// Package cluster is the queue of internal/engine on several machines: one program at a time, the
// owner, writes a log that the machines keep together, and all others hand their calls to it.
//
// The log is the fence. A message goes into it at one place or not at all, so what an owner that
// was stopped, cut off or slow still wants to say is refused. Everything else, who is the owner,
// how far the log was, is a hint: no decision about a task depends on it.
//
// The package knows its ground by four small interfaces, and no product that gives it. Most of the
// program never sees it: internal/stores opens a store by its URL.
package cluster

import (
	"context"
	"errors"
	"io"
)

// A Ground is what a store stands on: what other machines keep and carry. Its owner closes it after
// the Store. Names of stores and shards are its own matter: it is the ground of one log.
type Ground struct {
	Log    FencedLog
	Bus    Bus
	Hints  Hints
	Bucket Bucket
}

// A FencedLog is a sequence of messages, numbered from 1 without gaps, that several machines keep.
// Messages go only from its front, by Purge; the numbers go on when all are gone.
//
// All methods are safe for concurrent use. Reads end with ctx, and callers give them little time:
// an implementation needs no time limits of its own.
type FencedLog interface {
	// Append asks for msg to become message after+1, which it may only when after is the number of
	// the last message at that moment. Calls come from one goroutine at a time, several without
	// waiting for the answers, each with after one higher; they must reach the log in that order,
	// and must never be sent a second time. Append does not wait. It has copied msg when it returns.
	//
	// answer is called at most once, from any goroutine, from within Append if need be, and not at
	// all when nothing is heard. nil says that msg is stored as durably as this log ever promises.
	// ErrRefused says that the last message was another one; it proves nothing, because that may be
	// msg itself. ErrFull says that there was no room, ErrGone that there is no log. Any other
	// error says that nothing is known.
	Append(after uint64, msg []byte, answer func(error))

	// Info tells how the log is, from the machine that orders its messages: a message that is
	// stored is never beyond Last. ErrGone says that there is no log.
	Info(ctx context.Context) (Info, error)

	// Read returns the message n from the machine that orders messages. ErrNoMessage says that this
	// machine has none of that number: it was purged, or is not stored now, which does not say that
	// it will not be. ErrGone says that there is no log.
	Read(ctx context.Context, n uint64) ([]byte, error)

	// Scan calls each with messages from number first on, in ascending order, from whatever machine
	// answers fastest, until each returns false, most messages were passed, or there are no more.
	// That machine may lag behind, may lack messages, and may hold others than the rest: the caller
	// checks what it is given. msg belongs to the caller.
	Scan(ctx context.Context, first uint64, most int, each func(n uint64, msg []byte) bool) error

	// Purge removes the messages below first, which is never above Last: the last message stays.
	Purge(ctx context.Context, first uint64) error

	// MaxMessage is the most bytes of one message, at least 64 KiB. It never changes.
	MaxMessage() int
}

// Info is how a log is.
type Info struct {
	First, Last     uint64 // numbers; First is Last+1 when there are no messages
	Bytes, MaxBytes int64  // of all messages; MaxBytes 0 is no limit
	Leader          string // the machine that orders messages, for people
	Replicas        int    // machines that keep the log
	InStep          int    // those of them that are not behind
	Lag             uint64 // messages that the last of them is behind
}

var (
	// ErrRefused: there is another last message, or another revision, than the caller thought.
	ErrRefused = errors.New("another one came first")
	// ErrNoMessage: there is no message of that number, or no object of that name.
	ErrNoMessage = errors.New("there is none")
	// ErrFull: there is no room for it.
	ErrFull = errors.New("the log is full")
	// ErrGone: the log, or the bucket, was there and is not any more.
	ErrGone = errors.New("it was deleted")
	// ErrNobody: nobody listens under that name, so the request was surely not heard.
	ErrNobody = errors.New("nobody listens there")
)

// A Bus carries messages between the programs of one store. It may lose each of them, and carry one
// twice. Only programs with the rights of a gateway can send. Safe for concurrent use.
type Bus interface {
	// Request sends msg to the program of that name and returns its reply. ErrNobody says that it
	// was surely not heard; after any other error it may have been. It ends with ctx.
	Request(ctx context.Context, to string, msg []byte) ([]byte, error)

	// Serve answers the requests to a name until stop is called; no call of handle begins after
	// that. handle is quick, may be called from several goroutines at once, and owns msg.
	Serve(name string, handle func(msg []byte) (reply []byte)) (stop func(), err error)

	// Tell sends msg to all who hear, the sender among them, and waits for nothing.
	Tell(msg []byte) error

	// Hear is called with what others tell until stop is called. hear is quick, and owns msg.
	Hear(hear func(msg []byte)) (stop func(), err error)

	// MaxMessage is the most bytes of a request, a reply and a tell, at least 64 KiB.
	MaxMessage() int
}

// Hints are a few small values, kept by the same machines as the log. Safe for concurrent use.
type Hints interface {
	// Get returns a value and its revision; nil and 0 where there is none.
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)

	// Set stores a value if the revision is still that one, 0 for none, and returns the new
	// revision. ErrRefused says that it is another one; after any other error it may be stored.
	Set(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

// A Bucket keeps objects of any size by their names, which are of the bytes A-Z a-z 0-9 . _ -. Safe
// for concurrent use.
type Bucket interface {
	// Put stores an object as a whole or not at all, in place of one of that name.
	Put(ctx context.Context, name string, r io.Reader) error

	// Get reads an object. What it reads is verified, or the read fails. ErrNoMessage: there is none.
	Get(ctx context.Context, name string) (io.ReadCloser, error)

	// Names lists the objects, in no order.
	Names(ctx context.Context) ([]string, error)

	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, name string) error
}
