// Mutants breaks the server in many small ways, one at a time, and demands
// that a test which names the broken statement fails.
//
// mutants.txt says what to break: the statement, a file, a piece of it that
// occurs exactly once, and what to put there instead. The tree is not touched:
// a joint file (joint.go) holds all mutants of one file, go test -overlay builds
// the tests of each package once with all of them, and the environment says
// which one lives. Of the tests only those run that name its statement, as
// scripts/spec finds them.
//
// crash.txt (-list crash.txt) holds the classic mistakes of a store: each is
// seeded, and the enumerator of crashes must find it. With -overlay and -only one
// is made ready for go build, for programs that are judged as a whole.
//
// A mutant that survives, or whose piece is not there any more, is a failure.
package main
