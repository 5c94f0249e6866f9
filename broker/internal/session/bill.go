package session

// deliverySize is what a delivery takes beside its message, in bytes; about:
// slices grow in steps.
const deliverySize = 56

// take counts a delivery that begins to wait: against the session's limits its
// message in any case, on the bill only if nobody else holds it.
func (o *outbox) take(d *delivery) {
	o.bytes += d.message.Size()
	o.unbilled += deliverySize
	if d.message.Hold() {
		o.unbilled += d.message.Footprint()
	}
}

// leave takes back what take counted.
func (o *outbox) leave(d *delivery) {
	o.bytes -= d.message.Size()
	o.unbilled -= deliverySize
	if d.message.Release() {
		o.unbilled -= d.message.Footprint()
	}
}

// Bill returns how many bytes of memory the session holds for messages more
// than it said before, which may be negative, or 0 if that is less than least:
// what comes and goes soon is not worth being booked.
func (s *Session) Bill(least int) (n int) {
	if n = s.out.unbilled; n < least && -n < least {
		return 0
	}
	s.out.unbilled = 0
	return n
}

// Release gives up everything that waits. The session is not used any more.
func (s *Session) Release() {
	o := &s.out
	for _, r := range []*ring{&o.inflight, &o.queue} {
		for i := range r.len() {
			o.leave(r.at(i))
		}
		*r = ring{}
	}
	s.received, o.rest = nil, nil
}
