package broker

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// inherited are the wills of those who were connected when the last process
// ended without a word, and of those whose delay has passed since.
type inherited struct {
	once  sync.Once
	wills []bequest
}

// restore makes sessions and retained messages out of what the store has kept.
// Queues wait in the registry until they are attached. It is called before
// anybody else knows the hub; door finds a listener by its name. Sessions are
// under limits until their clients come to a listener.
func (h *hub) restore(state *store.State, limits *session.Limits, now time.Time, door func(string) *listener) {
	for _, r := range state.Retained {
		if !r.Message.Expired(now) {
			h.router.Restore(r.Message)
		}
	}
	h.registry.lines = make(map[string]*store.Line)
	h.registry.Lock() // timers begin before the last session is there
	defer h.registry.Unlock()
	for name, line := range state.Lines {
		var left bequest
		if line.Will != nil {
			left = bequest{Will: &line.Will.Will, id: name}
			if line.Will.Listener != "" {
				left.door, left.who = door(line.Will.Listener), &Identity{User: line.Will.User}
			}
			if willWaits(line, now) <= 0 {
				h.inherited.wills = append(h.inherited.wills, left)
				left.Will = nil
			}
		}
		switch {
		case strings.HasPrefix(name, originPrefix):
			h.origins.restore(name, line)
		case strings.HasPrefix(name, "\x00"):
			h.registry.lines[name] = line
		case line.Kept && !ended(line, now):
			cl := h.restoreSession(name, line, limits, now)
			if left.Will != nil {
				h.setWill(cl, left.Will)
				cl.door, cl.who = left.door, left.who
				cl.delay = h.after(willWaits(line, now), func() { h.willDue(cl) })
			}
		case line.Kept || len(line.Entries) > 0 || line.Spilled(): // or a session whose record was damaged
			h.router.Persist(store.Record{Kind: store.SessionEnded, ClientID: name})
		}
	}
}

// willWaits is how long the will of a line goes on waiting for its client,
// which outlives the process with the session [MQTT-3.1.3-9]: its delay began
// when the client left, or, if the process was killed under it, begins now.
// The gateway's own devices do not wait: what reads them is gone.
func willWaits(l *store.Line, now time.Time) time.Duration {
	if !l.Kept || l.Expiry == 0 || owner(l.Owner) == gateway || ended(l, now) {
		return 0
	}
	waits := l.Will.Delay
	if !l.Left.IsZero() && now.After(l.Left) {
		waits -= now.Sub(l.Left)
	}
	return waits
}

// keepsWill reports whether the will of cl, which has a delay, waits in the
// store for the next process.
func (h *hub) keepsWill(cl *client) bool { return h.durable != nil && cl.owner != gateway }

// publishInherited publishes the wills that were inherited, before anything newer.
func (h *hub) publishInherited() {
	h.inherited.once.Do(func() {
		for _, w := range h.inherited.wills {
			h.publishWill(w)
		}
		h.inherited.wills = nil
	})
}

// willGone tells the store that the will of a client was published or
// discarded, unless the client is back with another: that one must outlive a
// crash.
func (h *hub) willGone(id string) {
	r := &h.registry
	r.Lock()
	defer r.Unlock()
	if cl := r.clients[id]; cl == nil || cl.will == nil {
		h.recordWill(id, nil, nil, nil)
	}
}

// recordWill tells the store which will a client has, nil is none, and whose
// rights it is published by; door is nil for a client of this process.
func (h *hub) recordWill(id string, w *mqtt.Will, door *listener, who *Identity) {
	r := store.Record{Kind: store.WillSet, ClientID: id}
	if w != nil {
		r.Will = &store.Will{Will: *w}
		if door != nil {
			r.Will.User, r.Will.Listener = who.User, door.name
		}
	}
	h.router.Persist(r)
}

// ended reports whether the Session Expiry Interval passed while nobody was
// there, this program included. A clock that went back counts from now.
func ended(l *store.Line, now time.Time) bool {
	return !l.Left.IsZero() && l.Expiry < session.NeverExpires && now.After(l.Left) && now.Sub(l.Left) >= l.Expiry
}

// restoreSession makes a session that waits for its client.
func (h *hub) restoreSession(id string, line *store.Line, limits *session.Limits, now time.Time) *client {
	k := session.Kept{
		Expiry: line.Expiry, Subscriptions: line.Subscriptions, Last: line.Last, MaybeSent: int(min(line.Sent, math.MaxInt32)),
	}
	if line.Left.IsZero() { // its client was there: acknowledgements may be lost, so that more was sent than is in flight
		k.MaybeSent = session.MaybeSentAll
	}
	for packetID := range line.Received {
		k.Received = append(k.Received, packetID)
	}
	if line.Spilled() || len(line.Entries) > restoredAtOnce {
		for _, b := range h.durable.Queue(id).Blocks {
			k.Blocks = append(k.Blocks, session.Block{First: b.First, Last: b.Last, Messages: b.Messages, Bytes: int(b.Bytes)})
		}
	} else {
		k.Deliveries = keptOf(nil, line.Entries, line.Prefix)
	}
	cl := &client{
		peer:  conn.RestorePeer(id, line.Prefix, limits, &k, &h.home),
		owner: owner(line.Owner), since: now.UnixNano(),
	}
	h.registry.clients[id] = cl
	h.memory.Add(memory.Sessions, conn.PeerSize(id))
	h.registry.keeping.add(cl)
	for _, s := range line.Subscriptions {
		s.RetainHandling = mqtt.DoNotSendRetained
		h.router.Subscribe(now, cl.peer, s, true, false)
	}
	if line.Expiry < session.NeverExpires {
		left := line.Expiry
		if !line.Left.IsZero() && now.After(line.Left) {
			left -= now.Sub(line.Left)
		}
		cl.expiry = h.after(left, func() { h.expired(id, cl) })
		if line.LeftBefore {
			cl.left = line.Left.UnixNano()
		}
	}
	return cl
}

// clockSet starts the timers of sessions anew whose clients left before this
// boot: only now it can be said how long ago.
func (h *hub) clockSet() {
	now := time.Now()
	h.registry.Lock()
	defer h.registry.Unlock()
	for id, cl := range h.registry.clients {
		away := time.Duration(now.UnixNano() - cl.left)
		if cl.endpoint != nil || cl.left == 0 || away <= 0 || h.registry.closed {
			continue
		}
		h.stop(cl.expiry)
		cl.expiry = h.after(max(cl.peer.Describe().Expiry-away, 0), func() { h.expired(id, cl) })
	}
}

// kept is a delivery as the session sees it: without the prefix of its topics.
func kept(e *store.Entry, prefix string) session.KeptDelivery {
	d := session.KeptDelivery{Number: e.Number, Message: e.Message, QoS: e.QoS, Retain: e.Retain, Received: e.Received}
	if prefix != "" {
		m := *e.Message
		m.Topic = strings.TrimPrefix(m.Topic, prefix)
		m.Shareable(nil) // it is smaller than what others hold
		d.Message = &m
	}
	if e.Via != nil {
		d.Via = &packet.Via{Identifiers: e.Via.Identifiers, Share: e.Via.Share}
	}
	return d
}

// restoredAtOnce is how many messages of a session are taken into memory at the
// start; of one that has more, only its head, a little later.
const restoredAtOnce = 512

// recordCuts tells the store which ranges a session gave up.
func (h *hub) recordCuts(id string, cuts []session.Cut) {
	for _, c := range cuts {
		h.router.Persist(store.Record{Kind: store.LineCut, ClientID: id, From: c.From, Number: c.To, Count: c.Count})
	}
}

// recordGone tells the store which messages of a session were given up.
func (h *hub) recordGone(id string, numbers []uint64) {
	for _, n := range numbers {
		h.router.Persist(store.Record{Kind: store.DeliveryDone, ClientID: id, Number: n})
	}
}

// restoreQueue fills q with what the store has kept for it, and returns the
// Topic Filters it had. So many entries may have been in flight.
func (h *hub) restoreQueue(q *Queue, inFlight int) (had map[string]mqtt.Subscription, err error) {
	r := &h.registry
	r.Lock()
	line := r.lines[q.ClientID()]
	delete(r.lines, q.ClientID())
	r.Unlock()
	if line == nil {
		return nil, nil
	}
	kept := h.durable.Queue(q.ClientID())
	q.state.Lock()
	q.state.entries.Restore(kept, inFlight+2*unrecorded)
	q.state.Unlock()
	for more := true; more && err == nil; { // nobody else has q yet
		_, after, last := q.state.entries.Behind()
		if more = q.state.entries.Loads(); more {
			more, err = q.loadFrom(after, last)
		}
	}
	return kept.Subscriptions, err
}

// KeepsQueue reports whether the store has kept a queue of that name, which nobody
// has attached since.
func (b *Broker) KeepsQueue(name string) bool {
	r := &b.hub.registry
	r.Lock()
	defer r.Unlock()
	return r.lines["\x00"+name] != nil
}

// orphans returns the names of queues that the store has kept and nobody
// attached.
func (h *hub) orphans() (names []string) {
	h.registry.Lock()
	defer h.registry.Unlock()
	for name := range h.registry.lines {
		names = append(names, strings.TrimPrefix(name, "\x00"))
	}
	slices.Sort(names)
	return names
}
