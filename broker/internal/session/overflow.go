package session

import (
	"math/bits"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Overflow says what gives way when a queue is full.
type Overflow uint8

// The policies, in the order of the store's.
const (
	DropOldest Overflow = iota // the oldest that is not in flight
	DropNewest                 // the new message
	Reject                     // the new message; who publishes hears of it before
	LastValue                  // the older value of the same topic, else as DropOldest
	Downsample                 // more and more of the new messages as the queue fills
)

// Full reports whether there is no room for a message of that size in bytes.
func (s *Session) Full(size int) bool {
	o := &s.out
	bytes := o.bytes
	if r := o.rest; r != nil {
		if bytes += r.bytes; r.tight && r.crowd+size > crowdMax {
			return true
		}
	}
	return o.waiting()+1 > s.limits.QueueMessages || bytes+size > s.limits.QueueBytes
}

// Crowded reports whether a queue that rejects is full, and whether that is
// news.
func (s *Session) Crowded() (full, turned bool) {
	if s.limits.Overflow != Reject {
		return false, false
	}
	full = s.recorded() && s.Full(0)
	turned = full != s.full
	s.full = full
	return full, turned
}

// room gives up what has to give way for a message; false if that is the
// message itself.
func (s *Session) room(topic string, qos mqtt.QoS, size int) bool {
	o := &s.out
	if s.limits.Overflow == Downsample && qos > mqtt.AtMostOnce && s.sampled() {
		o.counts.Dropped.Sampled++
		return false
	}
	if n := o.queue.len(); qos == mqtt.AtMostOnce && o.rest != nil && n > 0 && (n >= headMessages/8 || o.bytes+size > headBytes/4) {
		o.counts.Dropped.Full++ // it has no place with the store, and must not keep out what has
		return false
	}
	for s.Full(size) {
		// What could not fit an empty queue must not empty this one.
		if qos == mqtt.AtMostOnce || size > s.limits.QueueBytes || !s.giveWay(topic) {
			o.counts.Dropped.Full++
			return false
		}
	}
	return true
}

// giveWay gives up one message, or one block, for another; false if there is
// none.
func (s *Session) giveWay(topic string) bool {
	o := &s.out
	switch s.limits.Overflow {
	case DropNewest, Reject:
		return false
	case LastValue:
		if o.replace(topic) {
			return true
		}
	}
	if r := o.rest; r != nil && r.tight {
		return false // what is older is on disk, and memory is what is full
	}
	if o.queue.len() > 0 {
		o.drop(&o.counts.Dropped.Full)
		return true
	}
	return o.dropBlock(&o.counts.Dropped.Full)
}

// sampled decides about a message of a queue that thins out: from half full on
// it takes every second at random, then of each quarter, eighth and so on of
// what is left half as many. At random, since a pattern would hit the same of
// several topics each time.
func (s *Session) sampled() bool {
	messages, bytes := s.Waiting()
	left := min(1-float64(messages)/float64(s.limits.QueueMessages), 1-float64(bytes)/float64(s.limits.QueueBytes))
	if left > 0.5 {
		return false
	}
	k := min(bits.Len(uint(1/max(left, 1e-3)))-1, 10)
	s.out.skipped = s.out.skipped*1664525 + 1013904223 // a random sequence (Numerical Recipes)
	return s.out.skipped>>(32-k) != 0
}
