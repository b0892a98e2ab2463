package glassq

import (
	"context"
	"io"
)

// A Copier is a store that can be copied while it is used.
type Copier interface {
	// Copy passes on the files of a copy of the store, one after the other: a start on them, in a folder of
	// their own, finds the store as it was at one moment after the call began. Everything answered OK
	// before the call is in it, and nothing is in it by half. The file called format comes last: without
	// it the copy is not whole. size is in bytes; r gives exactly so many, during the call of file only.
	// Other calls go on meanwhile; what they free of the disk is freed after it. An error of file, of r or
	// of ctx ends the copying and is returned.
	Copy(ctx context.Context, file func(name string, size int64, r io.Reader) error) error
}
