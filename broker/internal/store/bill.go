package store

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// queuedSize is what an entry takes in memory beside its message, in bytes.
const queuedSize = 160

// hold counts the message of an entry that begins to be in memory: on the bill
// only if nobody else holds it.
func (q *Queue) hold(m *mqtt.Message) {
	if !q.released && m.Hold() {
		q.unbilled += m.Footprint()
	}
}

// Bill returns how many bytes of memory the queue holds more than it said
// before, for messages and for entries; they may be negative, or 0 if together
// they are less than least.
func (q *Queue) Bill(least int) (messages, entries int) {
	entries = -q.billed
	if !q.released {
		entries += len(q.entries) * queuedSize
	}
	if n := q.unbilled + entries; n < least && -n < least {
		return 0, 0
	}
	messages, q.unbilled = q.unbilled, 0
	q.billed += entries
	return messages, entries
}

// Release takes off the bill what is in memory: nobody will use it any more.
func (q *Queue) Release() {
	for i := range q.entries {
		if m := &q.entries[i].Message; !q.released && m.Release() {
			q.unbilled -= m.Footprint()
		}
	}
	q.released = true
}

// take counts the message of an entry that begins to be in memory: for the
// account only if nobody else holds it.
func (l *Line) take(m *mqtt.Message) {
	l.bytes += int64(m.Size())
	if m.Hold() {
		l.uncharged += m.Footprint()
	}
}

// leave takes back what take counted.
func (l *Line) leave(m *mqtt.Message) {
	l.bytes -= int64(m.Size())
	if m.Release() {
		l.uncharged -= m.Footprint()
	}
}

// entryCost is what an entry takes in memory beside its message, in bytes.
const entryCost = 128

// charge books what a line has in memory: its entries, and their messages as
// far as nobody else holds them. What has ended is booked to the byte. The
// caller holds mu.
func (s *Durable) charge(l *Line, ended bool) {
	own := len(l.Entries)*entryCost - l.charged
	n := own + l.uncharged
	if s.opts.Held == nil || max(n, -n) < leastCharge && !ended && (len(l.Entries) > 0 || l.charged == 0) {
		return
	}
	s.opts.Held(l.uncharged, own)
	l.charged += own
	l.uncharged = 0
}

// leastCharge is what the account may be wrong by for each line, in bytes: most
// entries come and go.
const leastCharge = 1 << 10
