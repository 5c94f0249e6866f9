package session

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// Purge gives up what waits for the client and may not be sent any more. What
// is on its way in this connection stays: it cannot be taken back. A QoS 2
// message that an earlier connection has sent is released instead of sent
// again, for the client may hold its Packet Identifier.
func (s *Session) Purge(may func(*mqtt.Message) bool) {
	o := &s.out
	if o.rest != nil {
		o.rest.may = may
	}
	for i := o.queue.len() - 1; i >= 0; i-- {
		d := o.queue.at(i)
		if may(d.message) {
			continue
		}
		o.giveUp(d)
		o.leave(d)
		o.counts.Dropped.Refused++
		o.queue.cut(i)
	}
	for i := o.inflight.len() - 1; i >= 0; i-- {
		d := o.inflight.at(i)
		switch {
		case d.onWire || d.released || may(d.message):
		case d.qos == mqtt.ExactlyOnce:
			d.released = true
		default:
			o.giveUp(d)
			o.remove(i)
			o.counts.Dropped.Refused++
		}
	}
}
