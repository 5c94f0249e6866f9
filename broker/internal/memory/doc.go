// Package memory counts the bytes that peers make the broker hold, by what
// they are for, and says how short memory is.
//
// Account is the budget: whoever is about to hold something Takes it, which may
// be refused, or Adds it, where there is no way to say no; whoever lets it go
// Adds the same with a minus. Level tells from 0 to 4 how little is left; a
// level is left at a lower mark than it is entered at. What follows from a
// level is decided where the bytes are: broker/DESIGN.md has the table.
//
// The figures are estimates of what the allocator really takes; a test holds
// them to it. What is small and gone at once, such as the bytes of one read or
// one write, is not counted: it has bounds of its own.
//
// The package has no goroutine and no clock; its one lock is a leaf, taken only
// where a level changes.
package memory
