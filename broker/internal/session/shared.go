package session

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// Unfinished is a message that came through a Shared Subscription and that
// another member may get instead.
type Unfinished struct {
	Message *mqtt.Message
	Share   string // the Topic Filter of the subscription
}

// TakeShared takes out what came through the Shared Subscription with this
// Topic Filter, through any if it is empty, and may go to another member, in
// order. While the session goes on, deliveries that have begun are completed
// [MQTT-3.10.4-3]; when it has ended, those of QoS 1 may begin anew elsewhere,
// those of QoS 2 may not [MQTT-4.8.2-5].
func (s *Session) TakeShared(filter string, ended bool) []Unfinished {
	o := &s.out
	var all []Unfinished
	take := func(d *delivery) bool {
		share := d.via.Shared()
		if share == "" || filter != "" && share != filter {
			return false
		}
		all = append(all, Unfinished{d.message, share})
		o.giveUp(d)
		o.counts.Accepted-- // the other member accepts it
		return true
	}
	for i := 0; ended && i < o.inflight.len(); {
		if d := o.inflight.at(i); d.qos != mqtt.AtLeastOnce || !take(d) {
			i++
			continue
		}
		o.remove(i)
	}
	for i := 0; i < o.queue.len(); {
		d := o.queue.at(i)
		if !take(d) {
			i++
			continue
		}
		o.leave(d)
		o.queue.cut(i)
	}
	return all
}

// PassedOn takes n messages out of the account that the store had alone and
// that another member of a Shared Subscription got.
func (s *Session) PassedOn(n int) {
	if r := s.out.rest; r != nil {
		s.out.counts.Accepted -= uint64(n)
		r.messages -= n
	}
}

// HasRoom reports whether a message of that size in bytes finds a place
// without another one being dropped; without a connection only if the session
// keeps messages of that QoS.
func (s *Session) HasRoom(size int, qos mqtt.QoS) bool {
	if !s.online && (qos == mqtt.AtMostOnce || !s.Durable()) {
		return false
	}
	return !s.Full(size)
}
