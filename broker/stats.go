package broker

import (
	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
)

// Stats are counters since New and gauges of now.
type Stats struct {
	Connections         int // now
	ConnectionsAccepted uint64
	ConnectionsRefused  uint64 // never became a client: see ListenerStats
	Connects            uint64 // CONNECT packets
	Sessions            int    // attached or waiting for their client
	Clients             int    // of these, of clients of the network
	ClientsConnected    int    // of these, with a connection
	ClientsExpired      uint64 // sessions of the network ended by their Session Expiry Interval
	Subscriptions       int    // shared ones included
	SharedSubscriptions int
	Retained            int // what $SYS holds is not included
	RetainedSys         int // what $SYS holds
	RetainedBytes       int64
	RetainedRefused     uint64 // messages not retained, because of a limit

	Received, Sent  Traffic
	PublishRefused  uint64 // not authorized, illegal topic, beyond a limit
	Published       uint64 // messages routed, in-process ones and wills included
	Unmatched       uint64 // of these, delivered to nobody
	ReceiveRefused  uint64 // deliveries given up: no right to receive them
	WillsRefused    uint64 // not published: the right had gone
	SessionsRefused uint64 // CONNECTs refused because of Limits.Sessions

	// Deliveries to sessions: Accepted = Done + Dropped + Waiting.
	Accepted, Done, Dropped uint64
	Drops                   Drops // Dropped by why
	Waiting                 int
	WaitingBytes            int
	InFlight                int // of Waiting, sent and not acknowledged

	Throttled        uint64 // how often a client was not read for a while because of its rate
	TooLarge         uint64 // dropped: beyond the client's Maximum Packet Size
	ProtocolErrors   uint64
	SlowConsumers    uint64 // ended for not taking a byte in time
	KeepAliveExpired uint64
	Panics           uint64

	Memory MemoryStats
}

// sessionCounts sums the accounts of sessions.
type sessionCounts struct {
	accepted, done uint64
	dropped        Drops
	waiting, bytes int
	inFlight       int
}

// Drops are messages that were given up for a receiver, by why.
type Drops = session.Drops

// add adds a session that lives; what waits in one that is gone was dropped.
func (s *sessionCounts) addLive(p *conn.Peer) {
	c, waiting, bytes := p.Counts()
	s.accepted += c.Accepted
	s.done += c.Done
	s.dropped.Add(c.Dropped)
	s.waiting += waiting
	s.bytes += bytes
	s.inFlight += p.InFlight()
}

func (s *sessionCounts) add(p *conn.Peer) {
	c, waiting, _ := p.Counts()
	s.accepted += c.Accepted
	s.done += c.Done
	s.dropped.Add(c.Dropped)
	s.dropped.Left += uint64(waiting)
}

// Stats returns the counters and gauges.
func (b *Broker) Stats() Stats {
	c, r := b.counters, b.hub.router.Counts()
	s := Stats{
		Connects: c.Connects.Load(), Subscriptions: r.Subscriptions, SharedSubscriptions: r.Shared,
		Retained: r.Retained, RetainedSys: r.RetainedOwn, RetainedBytes: r.RetainedBytes, RetainedRefused: r.RetainedRefused,
		PublishRefused: c.PublishRefused.Load(), Published: r.Published, Unmatched: r.Unmatched, Throttled: c.Throttled.Load(), TooLarge: c.TooLarge.Load(), ProtocolErrors: c.ProtocolErrors.Load(),
		Memory:        memoryStats(b.hub.memory),
		SlowConsumers: c.SlowConsumers.Load(), KeepAliveExpired: c.KeepAliveExpired.Load(), Panics: c.Panics.Load(),
		ReceiveRefused: b.hub.receiveRefused.Load(), WillsRefused: b.hub.willsRefused.Load(), SessionsRefused: b.hub.sessionsRefused.Load(),
	}
	for _, l := range b.Listeners() {
		s.Connections += l.Connections
		s.ConnectionsAccepted += l.Accepted
		s.Received.Add(l.Received)
		s.Sent.Add(l.Sent)
		for _, n := range l.Refused {
			s.ConnectionsRefused += n
		}
	}
	h := &b.hub.registry
	h.Lock()
	sum := h.ended
	s.Sessions, s.ClientsExpired = len(h.clients), h.expired
	for _, cl := range h.clients {
		sum.addLive(cl.peer)
		if cl.owner != gateway {
			s.Clients++
			if cl.endpoint != nil {
				s.ClientsConnected++
			}
		}
	}
	h.Unlock()
	s.Memory.Disconnected = b.hub.slowEnded.Load()
	s.Accepted, s.Done, s.Waiting, s.WaitingBytes, s.InFlight = sum.accepted, sum.done, sum.waiting, sum.bytes, sum.inFlight
	s.Dropped, s.Drops = sum.dropped.Total(), sum.dropped
	return s
}
