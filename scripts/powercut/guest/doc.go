// Guest is the first process of a machine whose disk is recorded: it mounts the
// disk, runs dunlin on it, and is dunlin's clients. Behind the file system, past
// the page cache, it stamps what was acknowledged to them: the record of the
// disk's writes holds the truth about the promises, too.
//
// The kernel's command line says "seconds=N".
package main
