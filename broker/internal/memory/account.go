package memory

import (
	"math"
	"sync"
	"sync/atomic"
)

// Cause is what bytes are held for.
type Cause uint8

// The causes.
const (
	Connections   Cause = iota // connections with their transport, and the names they remember
	Input                      // packets that have come in part
	Output                     // what sockets do not take
	Sessions                   // sessions without the following
	Subscriptions              // and their places in the tree
	Wills                      // of who is connected, and those that wait
	Retained                   // retained messages and their places in the tree
	Messages                   // that wait or are in flight, each once however many sessions, queues and lines of the store hold it
	Queues                     // entries of queues and of the store's lines, beside their messages
	Identifiers                // Packet Identifiers of QoS 2 messages that clients have not released
	Causes                     // how many there are
)

var names = [Causes]string{"connections", "input", "output", "sessions", "subscriptions", "wills", "retained", "messages", "queues", "identifiers"}

// String is a word for it, fit for a topic.
func (c Cause) String() string { return names[c] }

// shares are the most that a cause may have where Take asks, in sixteenths of
// the budget; 0 is all of it. Together they may be more than the budget.
var shares = [Causes]int64{Connections: 4, Input: 1, Sessions: 2, Subscriptions: 2, Wills: 1, Retained: 4, Identifiers: 1}

// closedAt is the level from which Take refuses whatever the share.
var closedAt = [Causes]int{Connections: 4, Input: never, Output: never, Sessions: 2, Subscriptions: 2, Wills: 2, Retained: 2, Messages: never, Queues: never, Identifiers: never}

const never = 5

// The marks of the levels, in percent of the budget.
var (
	enter = [...]int64{70, 80, 90, 97}
	leave = [...]int64{60, 70, 80, 90}
)

// Account is the budget and what is taken of it. Its methods may be called from
// any goroutine, also on nil, which counts nothing and refuses nothing.
type Account struct {
	budget  int64 // bytes; 0 has no end
	held    [Causes]atomic.Int64
	total   atomic.Int64
	peak    atomic.Int64
	refused [Causes]atomic.Uint64

	level atomic.Int32
	low   atomic.Int64 // below this total the level changes
	high  atomic.Int64 // so it does from here on
	turn  struct {
		sync.Mutex
		budget, heap int // the levels that each of them asks for
	}
	changed chan struct{}

	crest atomic.Int64 // the highest total since Fell last was true
	fell  atomic.Bool
}

// New makes an account of budget bytes; 0 only counts.
func New(budget int64) *Account {
	a := &Account{budget: budget, changed: make(chan struct{}, 1)}
	a.low.Store(math.MinInt64)
	a.high.Store(math.MaxInt64)
	a.turnLevel()
	return a
}

// May reports whether Take would say yes; a no is counted.
func (a *Account) May(c Cause, n int) bool {
	if !a.Take(c, n) {
		return false
	}
	a.Add(c, -max(n, 0))
	return true
}

// Take asks for n bytes and adds them, unless the cause has had its share or
// memory is too short for it.
func (a *Account) Take(c Cause, n int) bool {
	if a == nil || n <= 0 {
		return true
	}
	share := a.budget / 16 * shares[c]
	if held := a.held[c].Add(int64(n)); a.Level() >= closedAt[c] || share > 0 && held > share {
		a.held[c].Add(-int64(n))
		a.refused[c].Add(1)
		return false
	}
	a.count(int64(n))
	return true
}

// Last reports whether n more bytes would be in the last eighth of the share
// of a cause.
func (a *Account) Last(c Cause, n int) bool {
	if a == nil {
		return false
	}
	share := a.budget / 16 * shares[c]
	return share > 0 && a.held[c].Load()+int64(n) > share-share/8
}

// Add adds n bytes, which may be negative: they are let go.
func (a *Account) Add(c Cause, n int) {
	if a == nil || n == 0 {
		return
	}
	a.held[c].Add(int64(n))
	a.count(int64(n))
}

func (a *Account) count(n int64) {
	t := a.total.Add(n)
	if t > a.peak.Load() {
		a.peak.Store(t) // another one may be lost: it is for people
	}
	if c := a.crest.Load(); t > c {
		a.crest.Store(t)
	} else if n < 0 && t < c/2 && c > a.budget/16 && a.crest.CompareAndSwap(c, t) {
		a.fell.Store(true)
		a.tell()
	}
	if t >= a.high.Load() || t < a.low.Load() {
		a.turnLevel()
	}
}

// tell makes Changed yield.
func (a *Account) tell() {
	select {
	case a.changed <- struct{}{}:
	default: // it is said already
	}
}

// Fell reports whether much was let go since it was last true: more than half
// of what was held, and that was no little.
func (a *Account) Fell() bool { return a.fell.Swap(false) }

// turnLevel finds the level and its marks. Whoever moves the total past a mark
// comes here, or moved it before the marks were set and is seen by the loop.
func (a *Account) turnLevel() {
	if a.budget == 0 {
		return
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	t := &a.turn
	for {
		t.budget = levelOf(t.budget, a.total.Load(), a.budget)
		low, high := int64(math.MinInt64), int64(math.MaxInt64)
		if t.budget > 0 {
			low = mark(a.budget, leave[t.budget-1])
		}
		if t.budget < len(enter) {
			high = mark(a.budget, enter[t.budget])
		}
		a.low.Store(low)
		a.high.Store(high)
		if total := a.total.Load(); total >= low && total < high {
			break
		}
	}
	a.announce()
}

// heapMax is the highest level that the heap alone can cause: it holds more
// than what peers make, and must not close the door for ever.
const heapMax = 2

// Heap tells how large the heap may grow until it is collected again, and its
// limit, in bytes.
func (a *Account) Heap(size, limit int64) {
	if a == nil || a.budget == 0 || limit <= 0 {
		return
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	a.turn.heap = min(levelOf(a.turn.heap, size, limit), heapMax)
	a.announce()
}

// announce sets the level. The caller holds turn.
func (a *Account) announce() {
	level := int32(max(a.turn.budget, a.turn.heap))
	if a.level.Swap(level) != level {
		a.tell()
	}
}

// levelOf is the level that follows on another one.
func levelOf(level int, n, of int64) int {
	for level < len(enter) && n >= mark(of, enter[level]) {
		level++
	}
	for level > 0 && n < mark(of, leave[level-1]) {
		level--
	}
	return level
}

// mark is so many percent of n, at least one byte.
func mark(n, percent int64) int64 { return max(n/100*percent, 1) }

// Level is how short memory is: 0 is not, 4 is nearly out.
func (a *Account) Level() int {
	if a == nil {
		return 0
	}
	return int(a.level.Load())
}

// Changed yields after the level has changed or much was let go, once for
// several changes.
func (a *Account) Changed() <-chan struct{} { return a.changed }

// Budget is what New was given.
func (a *Account) Budget() int64 { return a.budget }

// Held is what a cause has now.
func (a *Account) Held(c Cause) int64 { return a.held[c].Load() }

// Refused is how often Take said no to a cause.
func (a *Account) Refused(c Cause) uint64 { return a.refused[c].Load() }

// Total is what all causes have now.
func (a *Account) Total() int64 { return a.total.Load() }

// Peak is the most that all causes had together.
func (a *Account) Peak() int64 { return a.peak.Load() }
