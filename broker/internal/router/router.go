package router

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Sink receives what was published. Deliver appends and returns: it never
// waits for a network and never calls the router. number is the message's place
// in the sink's line if the sink now answers for it across a restart, Kept if
// it has appended a record of its own, else 0. p is lent for the call; what a
// sink keeps is p.Message(). That and via are shared and immutable.
type Sink interface {
	ClientID() string
	// Online reports whether somebody is there to take messages now; Shared
	// Subscriptions prefer those who are.
	Online() bool
	// Takes reports whether p would find a place with that QoS; Shared
	// Subscriptions pass over those where it would not.
	Takes(p *packet.Publication, qos mqtt.QoS) bool
	Deliver(now time.Time, p *packet.Publication, qos mqtt.QoS, retain bool, via *packet.Via) (number uint64)
}

// Kept is what Deliver returns when the sink has appended its own record.
const Kept = ^uint64(0)

// Store makes records durable. Append never waits; f of Notify is called once,
// maybe at once, when Status of the sequence is decided. Append keeps nothing of
// the record but Message, Will and the strings.
type Store interface {
	Append(store.Record) (sequence uint64)
	Commit() (sequence uint64)
	Status(sequence uint64) (done bool, err error)
	Notify(sequence uint64, f func())
	// Pressed reports whether so much waits for the disk that publishers should
	// wait, too.
	Pressed() bool
	// Refuses reports whether a message with QoS > 0 to this topic could not be
	// kept as promised.
	Refuses(topic string) bool
}

// Limits bound the retained messages.
type Limits struct {
	// Each delivers a message once for each subscription that matches; else
	// overlapping ones of a receiver deliver it once [MQTT-3.3.4-2].
	Each             bool
	RetainedMessages int
	RetainedBytes    int64
	// Memory accounts for the retained messages; what is new needs its yes.
	Memory *memory.Account
}

// Counts is what the router did so far.
type Counts struct {
	Published       uint64 // messages routed
	Unmatched       uint64 // of these, delivered to nobody
	RetainedRefused uint64 // not retained, because a limit was reached
	Subscriptions   int    // shared ones included
	Shared          int    // Shared Subscriptions
	Retained        int    // below $SYS not included
	RetainedOwn     int    // below $SYS
	RetainedBytes   int64
}

// Router is safe for concurrent use.
type Router struct {
	store  Store
	limits Limits

	published, unmatched, refused atomic.Uint64

	// order is held from a sink's Deliver to the record of what it took, so that
	// the records of a sink come in the order of their places in its line: the
	// store takes one that comes late for one that is long gone. mu comes first.
	order     sync.Mutex
	rejecters atomic.Pointer[[]func(topic string, size int) bool]
	keepers   atomic.Int32 // sinks that answer for QoS 0 too

	mu            sync.RWMutex
	filters       routes
	retained      topic.Names[*mqtt.Message]
	quotas        quotas
	retainedBytes int64
	nextExpiry    time.Time // no retained message expires before; zero: none does
	swept         time.Time // when they were looked through last
	ownRetained   int
	subscriptions int
	shared        int // of these
}

// New makes a router that has no subscriptions and no retained messages.
func New(s Store, l Limits) *Router { return &Router{store: s, limits: l} }

// Bound changes the limits of retained messages. What is retained stays, also
// if it is more.
func (r *Router) Bound(messages int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limits.RetainedMessages, r.limits.RetainedBytes = messages, bytes
}

// Result is what became of one published message.
type Result struct {
	Matched     bool // somebody subscribed
	Recorded    bool // the store holds a record: Commit before acknowledging
	NotRetained bool // it was to be retained, but a limit is reached
}

// Publish routes p, which is the caller's again when it returns. Messages of
// one publisher reach each subscriber in the order of the calls
// [MQTT-4.6.0-6].
func (r *Router) Publish(now time.Time, p *packet.Publication) Result {
	return r.publish(now, p, "", p.Origin())
}

// PublishFrom routes a QoS 2 message that another server sent; it and the
// Packet Identifier that it has in session are one record.
func (r *Router) PublishFrom(now time.Time, p *packet.Publication, session string, id uint16) Result {
	return r.publish(now, p, session, id)
}

// publish routes p, which came from the session named, if any.
func (r *Router) publish(now time.Time, p *packet.Publication, session string, id uint16) Result {
	m := p.Peek()
	if !own(m.Topic) {
		r.published.Add(1)
	}
	d := deliveryOf(p)
	defer d.release()
	refused := false
	if m.Retain {
		r.mu.Lock()
		defer r.mu.Unlock()
		d.recorded, refused = r.retain(now, p)
	} else {
		r.mu.RLock()
		defer r.mu.RUnlock()
	}
	d.match(&r.filters, p, r.limits.Each)
	if len(d.hits) > 1 {
		p.Share()
	}
	if m.QoS > mqtt.AtMostOnce || r.keepers.Load() > 0 {
		r.order.Lock()
		defer r.order.Unlock()
	}
	for i := range d.hits {
		d.send(now, p, &d.hits[i])
	}
	if len(d.kept) > 0 || session != "" {
		kind := store.MessageQueued
		if session != "" {
			kind = store.MessageFrom
		}
		r.store.Append(store.Record{Kind: kind, At: now, ClientID: session, Origin: id, Message: p.Message(), Destinations: d.kept})
		d.recorded = true
	}
	if len(d.hits) == 0 && !own(m.Topic) {
		r.unmatched.Add(1)
	}
	return Result{Matched: len(d.hits) > 0, Recorded: d.recorded, NotRetained: refused}
}

// Keeper tells of a sink that answers for messages of QoS 0, too, before its
// first subscription; -1 tells that it has gone.
func (r *Router) Keeper(n int32) { r.keepers.Add(n) }

// InOrder calls f, which gives a message to a sink and appends the record.
func (r *Router) InOrder(f func()) {
	r.order.Lock()
	defer r.order.Unlock()
	f()
}

// Persist appends a record that is no message.
func (r *Router) Persist(rec store.Record) { r.store.Append(rec) }

// Settled waits until the records of all messages that sinks have taken so far
// are appended.
func (r *Router) Settled() {
	r.mu.Lock()
	defer r.mu.Unlock()
}

// Commit closes the group of records appended so far and returns the sequence
// that must be reached before any of it is acknowledged.
func (r *Router) Commit() uint64 { return r.store.Commit() }

// Status reports whether what Commit returned may be acknowledged. An error
// says that it never may.
func (r *Router) Status(sequence uint64) (done bool, err error) { return r.store.Status(sequence) }

// Refuses says why a message with QoS > 0 of so many bytes to this topic must
// not be taken: it could not be kept as promised (0x83), or a sink that wants it
// is full and rejects it (0x97).
func (r *Router) Refuses(topic string, size int) mqtt.ReasonCode {
	if r.store.Refuses(topic) {
		return mqtt.ImplementationSpecificError
	}
	if all := r.rejecters.Load(); all != nil {
		for _, rejects := range *all {
			if rejects(topic, size) {
				return mqtt.QuotaExceeded
			}
		}
	}
	return mqtt.Success
}

// Reject asks rejects about each message with QoS > 0 from now on. It must not
// wait.
func (r *Router) Reject(rejects func(topic string, size int) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []func(string, int) bool
	if was := r.rejecters.Load(); was != nil {
		all = slices.Clone(*was)
	}
	all = append(all, rejects)
	r.rejecters.Store(&all)
}

// Pressed reports whether publishers should wait until what Commit returned is
// durable.
func (r *Router) Pressed() bool { return r.store.Pressed() }

// Notify calls wake once, from any goroutine and maybe before it returns, when
// Status of sequence is decided.
func (r *Router) Notify(sequence uint64, wake func()) { r.store.Notify(sequence, wake) }

// Counts returns the counters.
func (r *Router) Counts() Counts {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return Counts{
		Published: r.published.Load(), Unmatched: r.unmatched.Load(), RetainedRefused: r.refused.Load(),
		Subscriptions: r.subscriptions, Shared: r.shared,
		Retained: r.retained.Len() - r.ownRetained, RetainedOwn: r.ownRetained, RetainedBytes: r.retainedBytes,
	}
}
