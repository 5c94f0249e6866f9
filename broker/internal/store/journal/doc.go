// Package journal is the log under the store: records in the order they were
// appended, made durable in groups, found again after any crash.
//
// Records are bytes with a kind and a sequence number; what they mean is for
// package store. They go into pages of 4096 bytes, each with a checksum that
// binds it to its place, and pages into segments: files of a fixed size that
// were written once when they were made and are overwritten ever after, since
// overwriting costs one write and one flush where growing costs five. A page
// that was made durable is never written again.
//
// Append puts a record into memory. The goroutine in Run writes what gathered,
// and makes it durable: at once if a record asks for it, else after the
// interval. Durable tells how far both have come; nobody waits in Append.
//
// A checkpoint is the whole live state as records, in a file of the same pages.
// What it covers lets go of the segments before it, once it has been read back.
//
// FORMAT.md in package store has the bytes, and what may happen to them.
//
// Locks: Journal.mu guards what Append and Run share, and is held across no
// disk operation. A Spill has two, for its list of damaged files and for what
// its readers use again. All are leaves.
package journal
