package session

import (
	"math"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/overflow"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// ReceivedID is a Packet Identifier chosen by the client.
type ReceivedID uint16

// SentID is a Packet Identifier chosen by the server.
type SentID uint16

// NeverExpires is the Session Expiry Interval of a session without end.
const NeverExpires = time.Duration(math.MaxInt64)

// Limits bound what one session may hold. All must be positive.
type Limits struct {
	QueueMessages int // waiting and in flight towards the client
	QueueBytes    int
	Subscriptions int
	Overflow      overflow.Policy // of what waits
	// Spills says that a store keeps what does not fit into memory, and gives it
	// back; see Ask.
	Spills bool
}

// Params is what a CONNECT fixed for one Network Connection.
type Params struct {
	// Expiry is the Session Expiry Interval: 0 ends the session with the
	// connection [MQTT-3.1.2-23].
	Expiry         time.Duration
	Version        mqtt.Version
	ReceiveMaximum uint16 // PUBLISH packets in flight towards the client, 1 to 65535
	// AsBridge is the mark of mosquitto's bridges in 3.1 and 3.1.1: their
	// subscriptions are Retain As Published and No Local.
	AsBridge bool
	// Local is an in-process client: it ends with the store.
	Local bool
}

// Counts is what a session did so far. Accepted = Done + Dropped.Total + what
// Waiting returns.
type Counts struct {
	Accepted uint64 // messages taken by Deliver
	Done     uint64 // sent (QoS 0) or acknowledged (QoS 1 and 2)
	Dropped  Drops
}

// Drops are the messages that were given up, by why.
type Drops struct {
	Full     uint64 // the queue had no room
	Expired  uint64 // their Message Expiry Interval passed in the queue
	TooLarge uint64 // beyond the client's Maximum Packet Size
	Left     uint64 // waited for a connection or a session that has ended
	Refused  uint64 // the client may not receive them any more
	Memory   uint64 // memory was short
	Replaced uint64 // by a newer value of their topic, in a full queue
	Sampled  uint64 // the queue thinned out what came
	Lost     uint64 // the disk did not give them back
}

// Total is the number of messages given up.
func (d *Drops) Total() uint64 {
	return d.Full + d.Expired + d.TooLarge + d.Left + d.Refused + d.Memory + d.Replaced + d.Sampled + d.Lost
}

// Add adds the drops of another session.
func (d *Drops) Add(o Drops) {
	d.Full += o.Full
	d.Expired += o.Expired
	d.TooLarge += o.TooLarge
	d.Left += o.Left
	d.Refused += o.Refused
	d.Memory += o.Memory
	d.Replaced += o.Replaced
	d.Sampled += o.Sampled
	d.Lost += o.Lost
}

// Session is the state of one client. The zero value is not usable; see New.
type Session struct {
	limits   *Limits
	params   Params
	online   bool
	full     bool // see Crowded
	unsure   bool // of what waits only some was sent before a restart: the rest may expire
	received map[ReceivedID]struct{}
	subs     subscriptions
	out      outbox
}

// New makes the state of a client that has none. Sessions may share l, which
// does not change.
func New(l *Limits) *Session {
	return &Session{limits: l}
}

// Connect starts a Network Connection. What is in flight will be sent again in
// its original order before anything new [MQTT-4.4.0-1].
func (s *Session) Connect(p Params) {
	s.params, s.online = p, true
	s.out.rewind(int(p.ReceiveMaximum))
}

// Disconnect ends the Network Connection. QoS 0 messages that still waited are
// given up: they are promised to a connection, not to a session.
func (s *Session) Disconnect() {
	s.online = false
	s.out.dropQoS0(&s.out.counts.Dropped.Left, s.out.queue.len())
}

// SetLimits puts the session under other limits. What it holds beyond them
// stays until something has to give way.
func (s *Session) SetLimits(l *Limits) { s.limits = l }

// Online reports whether a Network Connection is attached.
func (s *Session) Online() bool { return s.online }

// Expiry is the Session Expiry Interval.
func (s *Session) Expiry() time.Duration { return s.params.Expiry }

// Durable reports whether the state outlives the Network Connection.
func (s *Session) Durable() bool { return s.params.Expiry > 0 }

// Limits are what the session may hold.
func (s *Session) Limits() *Limits { return s.limits }

// Counts returns the counters.
func (s *Session) Counts() Counts { return s.out.counts }

// Version is that of the last Network Connection.
func (s *Session) Version() mqtt.Version { return s.params.Version }

// Subscribing is the number of subscriptions.
func (s *Session) Subscribing() int { return s.subs.len() }

// Receiving is how many QoS 2 messages the client has not released.
func (s *Session) Receiving() int { return len(s.received) }

// Received reports whether that of a Packet Identifier is among them.
func (s *Session) Received(id ReceivedID) bool {
	_, ok := s.received[id]
	return ok
}

// InFlight is the number of messages sent and not acknowledged.
func (s *Session) InFlight() int { return s.out.inflight.len() }

// Unacknowledged is how many durable messages were sent and neither received
// nor acknowledged by the client: a restart sends them again with DUP.
func (s *Session) Unacknowledged() (n uint64) {
	for i := range s.out.inflight.len() {
		if d := s.out.inflight.at(i); d.kept && !d.released {
			n++
		}
	}
	return n
}

// Waiting is the number and size of the messages waiting or in flight.
func (s *Session) Waiting() (messages, bytes int) {
	bytes = s.out.bytes
	if s.out.rest != nil {
		bytes += s.out.rest.bytes
	}
	return s.out.waiting(), bytes
}

// InMemory is the size of those of them that are in memory.
func (s *Session) InMemory() (bytes int) { return s.out.bytes }
