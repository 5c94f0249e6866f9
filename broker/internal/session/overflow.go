package session

import (
	"github.com/dunlin-mqtt/dunlin/broker/internal/overflow"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Full reports whether there is no room for a message of that size in bytes.
func (s *Session) Full(size int) bool {
	o := &s.out
	bytes := o.bytes
	if r := o.rest; r != nil {
		if bytes += r.bytes; r.tight && r.tightBytes+size > maxTightBytes {
			return true
		}
	}
	return o.waiting()+1 > s.limits.QueueMessages || bytes+size > s.limits.QueueBytes
}

// Crowded reports whether a queue that rejects is full, and whether that is
// news.
func (s *Session) Crowded() (full, turned bool) {
	if s.limits.Overflow != overflow.Reject {
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
	if s.limits.Overflow == overflow.Downsample && qos > mqtt.AtMostOnce && s.sampled() {
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
	case overflow.DropNewest, overflow.Reject:
		return false
	case overflow.LastValue:
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

// sampled decides about a message of a queue that thins out.
func (s *Session) sampled() bool {
	messages, bytes := s.Waiting()
	free := min(1-float64(messages)/float64(s.limits.QueueMessages), 1-float64(bytes)/float64(s.limits.QueueBytes))
	return s.out.sampler.Skips(free)
}
