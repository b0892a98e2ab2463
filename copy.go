package glassq

import (
	"context"
	"io"
)

// A Copier is a store that can be copied while it is used.
type Copier interface {
	// Copy passes on the files of a copy of the store, one after the other: a start on them, in a
	// folder of their own, finds the store as it was at one moment after the call began. Everything
	// answered OK before the call is in it, and nothing is in it by half. The file called format
	// comes last: without it the copy is not whole. size is in bytes; r gives exactly so many,
	// during the call of file only. Other calls go on meanwhile; what they free of the disk is
	// freed after it. An error of file, of r or of ctx ends the copying and is returned.
	Copy(ctx context.Context, file func(name string, size int64, r io.Reader) error) error
}

// An Archiver is a store that can be written as an archive while it is used: a stream of bytes from
// which a store of any kind can be made. docs/archive.md says what is in it.
type Archiver interface {
	// Archive writes an archive of the store as it is at one moment after the call began.
	// Everything answered OK before the call is in it, and nothing by half; only a stream with its
	// end is an archive. Other calls go on meanwhile. A task that does not read makes it fail with
	// code damaged. An error of w or of ctx ends it and is returned.
	Archive(ctx context.Context, w io.Writer) error
}
