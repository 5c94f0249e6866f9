// Slim takes out of a Go program what only says where in the source a stack
// trace came by: line numbers and file names. A trace of a slim program still
// has every function and the offset in it, and slim finds the lines again with
// the program as it was before. On ARMv6 that is a twelfth of dunlin.
//
//	slim PROGRAM SLIM            writes SLIM, a slim copy of PROGRAM
//	slim -lines PROGRAM <TRACE   writes the trace of a slim program with the lines in it
//
// The linker lays the table of functions (.gopclntab) out in parts: header,
// names, files, program counter tables, records. Slim keeps the tables that
// the runtime works with (stack sizes, stack maps, unsafe points, inlining),
// lets the records' pcfile and pcln be 0, which the runtime reads as "?:0", and
// shortens names: module path and type arguments, which a trace leaves out
// anyway. The layout is internal to Go: slim knows that of one release and
// refuses what it does not know, and it compares what it made with what it had
// before it writes anything.
//
// Sources: cmd/link/internal/ld/pcln.go, runtime/symtab.go and runtime2.go of
// Go 1.26.
package main
