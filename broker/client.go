package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// ClientOptions describe an in-process client, as CONNECT describes one on the
// network.
type ClientOptions struct {
	ID         string // Client Identifier; not empty
	CleanStart bool
	// SessionExpiry is the Session Expiry Interval: 0 ends the session with
	// Close or Abort; negative never.
	SessionExpiry time.Duration
	Will          *mqtt.Will // nil for none
	QueueMessages int        // as Limits.QueueMessages; 0 takes that
	// News, unless it is nil, is called whenever Next may have something to
	// return, also that the client was ended. The caller holds locks of the
	// broker: it must return at once and call nothing here.
	News func()
}

// Client is a client in this process: a session and Go calls. Publish and
// Subscribe may be called from any goroutine, Next from one at a time.
type Client struct {
	hub  *hub
	id   string
	peer *conn.Peer
	wake chan struct{}
	news func() // nil: none
	done chan struct{}
	once sync.Once
	gone *mqtt.Error // set before done is closed

	next struct {
		sync.Mutex                  // held by Next while it works, not while it waits
		effects    []session.Effect // reused
		last       session.Send     // to be acknowledged by the following Next
	}
}

// Attach connects an in-process client. Another one attached with the same
// Client Identifier is ended, as a connection would be; network clients may
// not use that identifier while the session lives. It works before Run; after
// Run has ended it fails.
func (b *Broker) Attach(o ClientOptions) (*Client, error) {
	if o.ID == "" {
		return nil, mqtt.Errorf(mqtt.ClientIdentifierNotValid, "", "empty Client Identifier")
	}
	l := b.hub.session(&b.opts.Limits)
	if o.QueueMessages > 0 {
		l.QueueMessages = o.QueueMessages
	}
	if o.SessionExpiry < 0 {
		o.SessionExpiry = session.NeverExpires
	}
	if o.Will != nil {
		if err := packet.ValidMessage(&o.Will.Message); err != nil {
			return nil, err
		}
	}
	c := &Client{hub: b.hub, id: o.ID, news: o.News, wake: make(chan struct{}, 1), done: make(chan struct{})}
	b.hub.locals.Store(o.ID, struct{}{})
	got, err := b.hub.attach(attachment{
		id: o.ID, cleanStart: o.CleanStart, owner: gateway, limits: l, will: o.Will, endpoint: c,
		params: session.Params{Version: mqtt.V5, Local: true, ReceiveMaximum: b.opts.Limits.ReceiveMaximum, Expiry: o.SessionExpiry},
	})
	if err != nil {
		return nil, err
	}
	c.peer = got.peer
	return c, nil
}

// publications are for the next Publish of any Client: most are of devices that
// say something once a second.
var publications sync.Pool

var nothing mqtt.Message

// Publish routes m and waits until it is as durable as configured; nil means
// that it is. m must not be changed afterwards. Unlike network clients, it may
// publish to topics that start with $. The error is an *mqtt.Error or ctx's.
func (c *Client) Publish(ctx context.Context, m mqtt.Message) error {
	recorded, err := c.route(m)
	if err == nil && recorded {
		err = c.hub.barrier(ctx)
	}
	return err
}

// PublishAll is Publish for several messages, which wait for the disk together.
// It stops at the first that is refused; what came before it is routed.
func (c *Client) PublishAll(ctx context.Context, all []mqtt.Message) (err error) {
	wait := false
	for i := 0; i < len(all) && err == nil; i++ {
		var recorded bool
		recorded, err = c.route(all[i])
		wait = wait || recorded
	}
	if err == nil && wait {
		err = c.hub.barrier(ctx)
	}
	return err
}

// route publishes m, and reports whether the store has to have it.
func (c *Client) route(m mqtt.Message) (recorded bool, err error) {
	if err := c.mayPublish(&m); err != nil {
		return false, err
	}
	p, _ := publications.Get().(*packet.Publication)
	if p == nil {
		p = new(packet.Publication)
	}
	r := c.hub.router.Publish(time.Now(), p.Own(&m))
	p.Own(&nothing) // what waits for the next message keeps none alive
	publications.Put(p)
	if r.NotRetained {
		c.hub.notRetained(&m)
	}
	return r.Recorded, nil
}

// mayPublish makes m ready to be routed, or says why not.
func (c *Client) mayPublish(m *mqtt.Message) error {
	if err := packet.ValidMessage(m); err != nil {
		return err
	}
	if err := c.ended(); err != nil {
		return err
	}
	if m.QoS > mqtt.AtMostOnce {
		switch code := c.hub.router.Refuses(m.Topic, m.Size()); code {
		case mqtt.ImplementationSpecificError:
			return mqtt.Errorf(code, "", "the store cannot keep it: the disk has failed")
		case mqtt.QuotaExceeded:
			return mqtt.Errorf(code, "", "a queue that must not lose it is full")
		}
	}
	c.hub.notice()
	m.Publisher = c.id
	m.Shareable(new(atomic.Int32))
	c.hub.publishInherited()
	return nil
}

// barrier commits and waits. This is the other call site of the write barrier.
func (h *hub) barrier(ctx context.Context) error { return h.reached(ctx, h.router.Commit()) }

// reached waits until what Commit returned is durable.
func (h *hub) reached(ctx context.Context, sequence uint64) error {
	var reached chan struct{}
	for {
		done, err := h.router.Status(sequence)
		if done {
			return nil
		}
		if err != nil {
			return mqtt.Errorf(mqtt.ImplementationSpecificError, "", "store: %v", err)
		}
		if reached == nil {
			reached = make(chan struct{})
			h.router.Notify(sequence, sync.OnceFunc(func() { close(reached) }))
		}
		select {
		case <-reached:
			reached = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Subscribe adds or replaces subscriptions; each Subscription carries its own
// Subscription Identifier. It stops at the first that is refused; the error is
// an *mqtt.Error or ctx's.
func (c *Client) Subscribe(ctx context.Context, subs ...mqtt.Subscription) error {
	for _, s := range subs {
		if err := topic.ValidFilter(s.Filter); err != nil {
			return err
		}
		if err := c.ended(); err != nil {
			return err
		}
		if code := c.hub.subscribe(time.Now(), c.peer, s); code.Failed() {
			return mqtt.Errorf(code, "", "subscription refused")
		}
	}
	return c.hub.barrier(ctx)
}

// Next waits for the next message. It acknowledges the one it returned before,
// which is sent again in a later Attach of the session if Next is not called
// any more. Retain is as a network client would see it. With a ctx that has
// ended it waits for nothing.
func (c *Client) Next(ctx context.Context) (mqtt.Message, error) {
	for {
		if m, ok := c.take(time.Now()); ok {
			return m, nil
		}
		if err := c.ended(); err != nil {
			return mqtt.Message{}, err
		}
		select {
		case <-c.wake:
		case <-c.done:
			return mqtt.Message{}, c.gone
		case <-ctx.Done():
			return mqtt.Message{}, ctx.Err()
		}
	}
}

// take acknowledges the last message and takes the next, if there is one.
func (c *Client) take(now time.Time) (mqtt.Message, bool) {
	n := &c.next
	n.Lock()
	defer n.Unlock()
	if c.ended() != nil {
		return mqtt.Message{}, false
	}
	c.acknowledge(now)
	for {
		s, ok := c.peer.Next(now)
		if !ok && c.hub.Resume(now, c.peer) {
			continue
		}
		if !ok {
			break
		}
		n.last = s
		if s.Type == packet.PUBREL {
			c.acknowledge(now)
			continue
		}
		m := *s.Message
		m.Shareable(nil) // from here on it is the caller's
		m.QoS, m.Retain = s.QoS, s.Retain
		return m, true
	}
	return mqtt.Message{}, false
}

// acknowledge answers the last packet as a client on the network would.
func (c *Client) acknowledge(now time.Time) {
	last := c.next.last
	c.next.last = session.Send{}
	switch {
	case last.Type == packet.PUBREL:
		c.step(now, packet.PUBCOMP, last.ID)
	case last.QoS == mqtt.AtLeastOnce:
		c.step(now, packet.PUBACK, last.ID)
	case last.QoS == mqtt.ExactlyOnce:
		c.step(now, packet.PUBREC, last.ID)
		c.step(now, packet.PUBCOMP, last.ID)
	}
}

func (c *Client) step(now time.Time, t packet.Type, id uint16) {
	n := &c.next
	// An acknowledgement is never a protocol error.
	n.effects, _ = c.peer.Step(now, &packet.View{Type: t, ID: id}, n.effects[:0])
	for i := range n.effects {
		if e := &n.effects[i]; e.Kind == session.Persist {
			c.hub.Persist(c.peer, e.Change, e.Number)
		}
	}
}

// Close ends the connection as DISCONNECT 0x00 does: the will is discarded.
// What was not acknowledged waits in the session, if it outlives this.
func (c *Client) Close() error {
	c.leave(mqtt.NormalDisconnection, true)
	return nil
}

// Abort ends the connection as a lost socket does: the will is published after
// its delay, unless a new Attach with the same Client Identifier comes first
// [MQTT-3.1.3-9].
func (c *Client) Abort() error {
	c.leave(mqtt.UnspecifiedError, false)
	return nil
}

// DisconnectWithWill ends the connection as DISCONNECT 0x04 does: the will is
// published at once.
func (c *Client) DisconnectWithWill() error {
	r := &c.hub.registry
	r.Lock()
	if cl := r.clients[c.id]; cl != nil && cl.endpoint == endpoint(c) && cl.will != nil {
		now := *cl.will
		now.Delay = 0
		cl.will = &now
	}
	r.Unlock()
	c.leave(mqtt.DisconnectWithWill, false)
	return nil
}

// Kick ends the client from the broker's side.
func (c *Client) Kick(code mqtt.ReasonCode) { c.leave(code, false) }

// Done is closed when the client is no longer attached.
func (c *Client) Done() <-chan struct{} { return c.done }

// Wake tells Next to look again; the broker calls it.
func (c *Client) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
	if c.news != nil {
		c.news()
	}
}

func (c *Client) leave(code mqtt.ReasonCode, normal bool) {
	c.once.Do(func() {
		c.gone = mqtt.Errorf(code, "", "the client is not attached any more")
		c.hub.detach(c.id, c, conn.End{Normal: normal, Reason: code})
		close(c.done)
		if c.news != nil {
			c.news()
		}
	})
}

func (c *Client) ended() error {
	select {
	case <-c.done:
		return c.gone
	default:
		return nil
	}
}
