package conn

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Peer is one session with its lock, shared by the router, which delivers, and
// the connection or in-process client that is attached at the moment.
type Peer struct {
	id     string
	online atomic.Bool

	state struct {
		sync.Mutex
		session *session.Session
		wake    func() // tells who is attached that Next may have something
	}
}

// NewPeer makes a peer without state for a Client Identifier.
func NewPeer(id string, l session.Limits) *Peer {
	p := &Peer{id: id}
	p.state.session = session.New(l)
	return p
}

// ClientID is the Client Identifier.
func (p *Peer) ClientID() string { return p.id }

// Online reports whether somebody is attached.
func (p *Peer) Online() bool { return p.online.Load() }

// Attach starts a Network Connection. wake must not wait and may be called
// from any goroutine until Detach returns, and once more after.
func (p *Peer) Attach(params session.Params, wake func()) {
	p.state.Lock()
	defer p.state.Unlock()
	p.state.session.Connect(params)
	p.state.wake = wake
	p.online.Store(true)
}

// Detach ends it and returns the Session Expiry Interval that counts from now.
func (p *Peer) Detach() time.Duration {
	p.state.Lock()
	defer p.state.Unlock()
	p.online.Store(false)
	p.state.wake = nil
	p.state.session.Disconnect()
	return p.state.session.Expiry()
}

// Deliver takes a message for the session; see router.Sink.
func (p *Peer) Deliver(_ time.Time, m *mqtt.Message, qos mqtt.QoS, retain bool, identifiers []uint32) (kept bool) {
	p.state.Lock()
	kept = p.state.session.Deliver(m, qos, retain, identifiers)
	wake := p.state.wake
	p.state.Unlock()
	if wake != nil {
		wake()
	}
	return kept
}

// Step gives a packet to the session.
func (p *Peer) Step(now time.Time, v *packet.View, out []session.Effect) ([]session.Effect, error) {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.Step(now, v, out)
}

// Next returns what the session may send now.
func (p *Peer) Next(now time.Time) (session.Send, bool) {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.Next(now)
}

// Subscribed records a subscription; see session.Session.
func (p *Peer) Subscribed(s mqtt.Subscription) (existed bool, code mqtt.ReasonCode) {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.Subscribed(s)
}

// Unsubscribed removes a subscription and reports whether it existed.
func (p *Peer) Unsubscribed(filter string) bool {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.Unsubscribed(filter)
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
