package wal

import "io"

// FS is one directory: all that a log needs of a file system. Names have no slashes.
// Implementations are safe for concurrent use. A missing file is fs.ErrNotExist.
type FS interface {
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Create makes an empty file, replacing one that exists. The name is durable
	// after the next SyncDir.
	Create(name string) (File, error)
	// Rename replaces newName if it exists. Durable after the next SyncDir.
	Rename(oldName, newName string) error
	// Remove deletes a file. Durable after the next SyncDir.
	Remove(name string) error
	// List returns the names of all files, in any order. A directory that does not
	// exist yet is empty.
	List() ([]string, error)
	// SyncDir makes creations, renames and removals durable.
	SyncDir() error
	// Lock takes the directory for this process, making it if need be, until the
	// Closer is closed. It does not wait: a lock held elsewhere is ErrLocked.
	Lock(name string) (io.Closer, error)
}

// File is an open file. ReadAt is concurrent with everything; after Close it
// returns fs.ErrClosed.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	// Truncate cuts the file, or lengthens it with zeros.
	Truncate(size int64) error
	// Allocate reserves n bytes from off, lengthening the file with zeros. It never
	// changes bytes that are there, and may do nothing at all, not even lengthen the file.
	Allocate(off, n int64) error
	// Zero writes n zeros from off, so that later writes there find allocated
	// blocks; past the end it lengthens the file.
	Zero(off, n int64) error
	// Sync makes the content and the size durable (fdatasync).
	Sync() error
}
