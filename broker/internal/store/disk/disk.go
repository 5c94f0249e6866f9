package disk

import "io"

// Disk is one directory. Names have no slash.
type Disk interface {
	// Names lists the directory, in no order.
	Names() ([]string, error)
	// Create makes an empty file; it fails if the name is taken.
	Create(name string) (File, error)
	// Open opens a file for reading and writing. It does not follow links.
	Open(name string) (File, error)
	// Rename gives a file another name, replacing what has it.
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the names durable.
	SyncDir() error
	// Free is how many bytes of the file system may still be used.
	Free() (int64, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	// Datasync makes the content durable, and the size if it changed.
	Datasync() error
}
