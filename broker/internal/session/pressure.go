package session

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// Squeeze is asked before Deliver while memory is short, at a level from 1 to
// 4; behind says that the connection's socket takes nothing now. It reports
// whether the message is given up: QoS 0 for a client that is behind. Where
// QoS 1 and 2 may not make the queue longer, the oldest that waits makes room.
func (s *Session) Squeeze(level int, qos mqtt.QoS, size int, behind bool) (refused bool) {
	o := &s.out
	behind = behind || !s.MayPass()
	switch {
	case qos > mqtt.AtMostOnce:
		if s.unload(); o.queue.len() > 0 && level >= s.sheds() {
			o.drop(&o.counts.Dropped.Memory)
		}
		return false
	case !behind || !s.online:
		return false
	case level == 1 && o.waiting() < s.limits.QueueMessages/2 && o.bytes+size <= s.limits.QueueBytes/2:
		return false
	}
	o.counts.Accepted++
	o.counts.Dropped.Memory++
	return true
}

// sheds is the level from which the queue gives up what it was promised: a
// session that ends with its connection before one that does not, and never one
// that the store takes it from.
func (s *Session) sheds() int {
	switch {
	case s.spills():
		return never
	case s.Durable():
		return 4
	}
	return 3
}

const never = 5

// Shed leaves what waits for a client that is away to the store, if that takes
// it. It gives up QoS 0 that waits, half of it at level 1; and the older half of
// all that waits if the level asks for that. It returns how many messages with
// QoS 1 and 2 those were.
func (s *Session) Shed(level int) (promised int) {
	o := &s.out
	waiting := 0 // of QoS 0
	for i := range o.queue.len() {
		if o.queue.at(i).qos == mqtt.AtMostOnce {
			waiting++
		}
	}
	if level == 1 {
		waiting = (waiting + 1) / 2
	}
	o.dropQoS0(&o.counts.Dropped.Memory, waiting)
	s.unload()
	if level < s.sheds() {
		return 0
	}
	promised = (o.queue.len() + 1) / 2
	for range promised {
		o.drop(&o.counts.Dropped.Memory)
	}
	return promised
}
