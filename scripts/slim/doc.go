// Slim takes out of a Go program what only a stack trace reads: line numbers,
// file names, which calls were inlined where, and where arguments are. A trace
// of a slim program still has every function that was not inlined and the
// offset in it, and slim finds lines and inlined calls again with the program
// as it was before. On ARMv6 that is an eighth of dunlin.
//
//	slim PROGRAM SLIM            writes SLIM, a slim copy of PROGRAM
//	slim -lines PROGRAM <TRACE   writes the trace of a slim program with the lines in it
//
// The linker lays the table of functions (.gopclntab) out in parts: header,
// names, files, program counter tables, records, data, and an index by address.
// Slim keeps the tables and data that the runtime works with (stack sizes, stack
// maps, stack objects, unsafe points, deferred calls, bounds), lets the records'
// pcfile and pcln be 0, which the runtime reads as "?:0", ends a record after
// its last table and list, and shortens names to those that Go code has for
// them: no directory of the package, and no type arguments, which a trace leaves
// out anyway.
//
// Not only traces read the tree of calls that were inlined in a function:
//
//   - isAsyncSafePoint (preempt.go) refuses to interrupt an instruction whose
//     innermost name begins with "runtime.", "internal/runtime/" or "reflect.".
//     A function whose tree changes that answer anywhere keeps it.
//   - gorecover (panic.go) counts the calls between itself and the panic that no
//     wrapper made. A function that calls recover is never inlined, and every
//     function but a wrapper counts as one, with a tree or without: wrappers, and
//     whatever else has a funcID, keep theirs.
//   - all other readers want names and lines, for a trace, a profile, or skip in
//     runtime.Callers; dunlin has no use of them but debug.Stack.
//
// The layout is internal to Go: slim knows that of one release and refuses any
// other. It reads what it made as a program and compares it with what it had,
// function by function, before it writes anything.
//
// Sources: cmd/link/internal/ld/pcln.go, runtime/symtab.go, symtabinl.go and
// runtime2.go of Go 1.26.
package main
