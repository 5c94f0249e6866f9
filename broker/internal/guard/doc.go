// Package guard keeps out clients that come too often, fail too often, or were
// banned. Whoever holds a Guard tells it what happens and asks before it lets
// somebody go on; the guard itself has no clock, no socket and no timer.
//
// Its one lock is a leaf.
package guard
