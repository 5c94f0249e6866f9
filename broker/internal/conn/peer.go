package conn

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Peer is one session with its lock, shared by the router, which delivers, and
// the connection or in-process client that is attached at the moment.
type Peer struct {
	id     string
	prefix string // taken off the topics towards the client
	online atomic.Bool
	booked uint16 // Packet Identifiers of the client's in the account; guarded by state

	state struct {
		sync.Mutex
		session *session.Session
		waker   Waker // who is attached: *Conn for a network connection
		// gate judges each message by its topic; nil lets all pass.
		gate func(topic string) bool
		// backlog are retained messages that wait until the session has room.
		backlog *[]backlog // nil for none
	}
	home *Home
}

// Home is what all peers of a broker share.
type Home struct {
	// Gone hears of the places in line of durable messages that a session
	// gives up; it must not wait. nil is fine.
	Gone func(id string, numbers []uint64)
	// Cut hears of ranges of them, likewise.
	Cut func(id string, cuts []session.Cut)
	// Load has more of what a session has left to the store given to Load of the
	// peer, soon; Tight reports whether the store cannot put on disk what it is
	// left. They are there where session.Limits.Spills is.
	Load  func(p *Peer)
	Tight func() bool
	// Crowded hears that a session whose queue rejects is full, or is not any
	// more.
	Crowded func(p *Peer, full bool)
	Memory  *memory.Account
}

// Waker is who is attached to a peer. Wake tells it that Next may have
// something; it must not wait, and comes from any goroutine until Detach
// returns, and once more after.
type Waker interface{ Wake() }

// NewPeer makes a peer without state for a Client Identifier whose topics are
// behind prefix. The account must have its PeerSize; Release gives it back.
func NewPeer(id, prefix string, l *session.Limits, home *Home) *Peer {
	p := &Peer{id: id, prefix: prefix, home: home}
	p.state.session = session.New(l)
	return p
}

// RestorePeer makes a peer of a session that a store has kept.
func RestorePeer(id, prefix string, l *session.Limits, k *session.Kept, home *Home) *Peer {
	p := NewPeer(id, prefix, l, home)
	p.state.Lock() // what it asks for may come at once
	defer p.state.Unlock()
	p.state.session = session.Restore(l, k)
	for _, sub := range k.Subscriptions {
		home.Memory.Add(memory.Subscriptions, subscriptionSize(sub.Filter))
	}
	p.letGo()
	return p
}

// ClientID is the Client Identifier.
func (p *Peer) ClientID() string { return p.id }

// Prefix is what the client does not see of topics.
func (p *Peer) Prefix() string { return p.prefix }

// Unacknowledged is how many durable messages wait for the client's answer.
func (p *Peer) Unacknowledged() uint64 {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.Unacknowledged()
}

// Online reports whether somebody is attached.
func (p *Peer) Online() bool { return p.online.Load() }

// Attach starts a Network Connection; l are the limits of who accepted it.
func (p *Peer) Attach(params session.Params, l *session.Limits, w Waker) {
	p.state.Lock()
	defer p.state.Unlock()
	p.state.session.SetLimits(l)
	p.state.session.Connect(params)
	p.state.waker = w
	p.online.Store(true)
}

// Detach ends it and returns the Session Expiry Interval that counts from now.
func (p *Peer) Detach() time.Duration {
	p.state.Lock()
	defer p.state.Unlock()
	p.online.Store(false)
	if c, ok := p.state.waker.(*Conn); ok {
		c.flowing = false
		c.dropPassed()
	}
	p.state.waker = nil
	p.state.session.Disconnect()
	p.settle()
	return p.state.session.Expiry()
}

// Deliver takes a message for the session; see router.Sink. A QoS 0 message
// that has nothing to overtake goes straight into the connection's output.
func (p *Peer) Deliver(now time.Time, m *packet.Publication, qos mqtt.QoS, retain bool, via *packet.Via) (number uint64) {
	s := &p.state
	s.Lock()
	conn, _ := s.waker.(*Conn)
	if s.gate != nil && !s.gate(m.Peek().Topic) {
		s.Unlock()
		return 0
	}
	if p.prefix != "" {
		if m = m.Behind(p.prefix); m == nil {
			s.Unlock()
			return 0
		}
	}
	if level := p.home.Memory.Level(); level > 0 && s.session.Squeeze(level, qos, m.Peek().Size(), conn != nil && conn.Output() > 0) {
		s.Unlock()
		return 0
	}
	passed := false
	if qos == mqtt.AtMostOnce && conn != nil && s.session.MayPass() {
		var sent bool
		if sent, passed = conn.pass(now, m, retain, via.IDs()); passed {
			s.session.Passed(sent)
		}
	}
	if !passed {
		if s.session.Spilled() {
			s.session.Tight(p.home.Tight())
		}
		number = s.session.Deliver(m, qos, retain, via)
		p.letGo()
	}
	w := s.waker
	s.Unlock()
	if w != nil {
		w.Wake()
	}
	return number
}

// Shed gives up a part of what waits, if the level of memory asks for it; see
// session.Session. It returns how many messages those were.
func (p *Peer) Shed(level int) int {
	p.state.Lock()
	defer p.state.Unlock()
	defer p.letGo()
	return p.state.session.Shed(level)
}

// Gate lets may judge every message by its topic from now on; nil lets all
// pass. It must not wait. With purge, what waits is judged too.
func (p *Peer) Gate(may func(topic string) bool, purge func(topic string) bool) {
	s := &p.state
	s.Lock()
	defer s.Unlock()
	s.gate = may
	if purge != nil {
		s.session.Purge(func(m *mqtt.Message) bool { return purge(p.prefix + m.Topic) })
		p.letGo()
	}
}

// held and clear are Held and Clear of the session.
func (p *Peer) held() uint64 {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.Held()
}

func (p *Peer) clear(number uint64) {
	p.state.Lock()
	defer p.state.Unlock()
	p.state.session.Clear(number)
}

// letGo tells the store which durable messages the session has given up. The
// caller holds the state.
func (p *Peer) letGo() {
	if gone := p.state.session.Gone(); len(gone) > 0 && p.home.Gone != nil {
		p.home.Gone(p.id, gone)
	}
	if p.state.session.Spilled() {
		if cuts := p.state.session.Cuts(); len(cuts) > 0 {
			p.home.Cut(p.id, cuts)
		}
		if p.state.session.Ask() {
			p.home.Load(p)
		}
	}
	p.settle()
}

// Asked is what the session asked the store for; see session.Session.
func (p *Peer) Asked() (after, last uint64) {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.Asked()
}

// Load gives the session what it asked for.
func (p *Peer) Load(entries []session.KeptDelivery, upTo uint64) {
	s := &p.state
	s.Lock()
	s.session.Load(entries, upTo)
	p.letGo()
	w := s.waker
	s.Unlock()
	if w != nil {
		w.Wake()
	}
}

// PassedOn takes messages out of the account that others got; see
// session.Session.
func (p *Peer) PassedOn(n int) {
	p.state.Lock()
	defer p.state.Unlock()
	p.state.session.PassedOn(n)
}

// Takes reports whether m would find a place in the session, and may; see
// router.Sink.
func (p *Peer) Takes(m *packet.Publication, qos mqtt.QoS) bool {
	s := &p.state
	s.Lock()
	defer s.Unlock()
	size := m.Peek().Size()
	if c, ok := s.waker.(*Conn); ok && p.Online() && !c.takesPacket(size) {
		return false
	}
	return s.session.HasRoom(size, qos) && (s.gate == nil || s.gate(m.Peek().Topic))
}

// TakeShared takes out what another member of a Shared Subscription may get
// instead; see session.Session.
func (p *Peer) TakeShared(filter string, ended bool) []session.Unfinished {
	s := &p.state
	s.Lock()
	defer s.Unlock()
	defer p.letGo()
	return s.session.TakeShared(filter, ended)
}

// Step gives a packet to the session.
func (p *Peer) Step(now time.Time, v *packet.View, out []session.Effect) ([]session.Effect, error) {
	if v.Type == packet.PUBLISH && v.Publish.QoS < mqtt.ExactlyOnce {
		return session.Publish(v, out), nil
	}
	p.state.Lock()
	defer p.state.Unlock()
	defer p.settle()
	return p.state.session.Step(now, v, out)
}

// receives reports whether the session has room for another QoS 2 message of
// the client's: so many always, and more while memory has a share for them.
// again is true for one that it has already.
func (p *Peer) receives(id session.ReceivedID, always int) (room, again bool) {
	p.state.Lock()
	defer p.state.Unlock()
	s := p.state.session
	return s.Receiving() < always || p.home.Memory.May(memory.Identifiers, receivedSize), s.Received(id)
}

// Next returns what the session may send now.
func (p *Peer) Next(now time.Time) (session.Send, bool) {
	p.state.Lock()
	defer p.state.Unlock()
	defer p.letGo()
	return p.state.session.Next(now)
}

// Subscribed records a subscription; see session.Session.
func (p *Peer) Subscribed(s mqtt.Subscription) (existed bool, code mqtt.ReasonCode) {
	p.state.Lock()
	defer p.state.Unlock()
	size := 0
	if _, had := p.state.session.Subscription(s.Filter); !had {
		size = subscriptionSize(s.Filter)
	}
	if !p.home.Memory.Take(memory.Subscriptions, size) {
		return false, mqtt.QuotaExceeded
	}
	if existed, code = p.state.session.Subscribed(s); code.Failed() {
		p.home.Memory.Add(memory.Subscriptions, -size)
	}
	return existed, code
}

// Unsubscribed removes a subscription and reports whether it existed.
func (p *Peer) Unsubscribed(filter string) bool {
	p.state.Lock()
	defer p.state.Unlock()
	p.forget(filter)
	if !p.state.session.Unsubscribed(filter) {
		return false
	}
	p.home.Memory.Add(memory.Subscriptions, -subscriptionSize(filter))
	return true
}

// Subscriptions returns all subscriptions of the session.
func (p *Peer) Subscriptions() []mqtt.Subscription {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.Subscriptions()
}

// Durable reports whether the session outlives its connection.
func (p *Peer) Durable() bool {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.Durable()
}

// Counts returns the counters of the session and what waits in it.
func (p *Peer) Counts() (c session.Counts, waiting, bytes int) {
	p.state.Lock()
	defer p.state.Unlock()
	waiting, bytes = p.state.session.Waiting()
	return p.state.session.Counts(), waiting, bytes
}

// InFlight is how many messages were sent and not acknowledged.
func (p *Peer) InFlight() int {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.InFlight()
}

// InMemory is the size of what waits in memory.
func (p *Peer) InMemory() int {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.InMemory()
}
