// Package pattern finds regular expressions in lines of text: the syntax and
// the matches of Go's package regexp (RE2), without classes of Unicode (\pL),
// octal escapes, \Q...\E and the flag U, in a twentieth of its size.
//
// Time is bounded by the length of the line times that of the pattern, and
// memory by that of the pattern: what a device sends cannot make it slow.
//
//	Compile: parser (parse.go, class.go) -> node -> compiler (compile.go) -> instructions
//	Match:   all ways at once, first things first (match.go)
//
// Locks: none; a Pattern does not change and may be used by many.
package pattern
