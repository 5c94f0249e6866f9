package broker

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// loader brings back what sessions have left to the store: one after the other,
// so that it takes the memory of one read, by a goroutine that is there while
// somebody asks.
type loader struct {
	sync.Mutex
	peers   []*conn.Peer // each at most once: it asks again when it has got something
	running bool
	closed  bool
	work    sync.WaitGroup

	room store.Room             // of the goroutine, used again
	kept []session.KeptDelivery // likewise
}

// load is conn.Home.Load.
func (h *hub) load(p *conn.Peer) {
	l := &h.loader
	l.Lock()
	defer l.Unlock()
	if l.closed {
		return
	}
	if l.peers = append(l.peers, p); !l.running {
		l.running = true
		l.work.Go(h.loadAll)
	}
}

// close waits for the goroutine; nobody gets anything any more.
func (l *loader) close() {
	l.Lock()
	l.closed, l.peers = true, nil
	l.Unlock()
	l.work.Wait()
}

func (h *hub) loadAll() {
	l := &h.loader
	for {
		l.Lock()
		if l.running = len(l.peers) > 0; !l.running {
			l.peers = nil
			l.Unlock()
			return
		}
		p := l.peers[0]
		l.peers = l.peers[1:]
		l.Unlock()
		h.loadOne(p)
	}
}

// loadOne reads for one session. What cannot be read now is asked for again in
// a while.
func (h *hub) loadOne(p *conn.Peer) {
	after, last := p.Asked()
	h.router.Settled() // what was delivered so far is with the store now
	l := &h.loader
	entries, upTo, err := h.durable.ReadTo(&l.room, p.ClientID(), after, loadBytes)
	if err != nil {
		h.log.Error("what waits for a client cannot be read", "client_id", p.ClientID(), "err", err)
		h.registry.Lock()
		if !h.registry.closed {
			h.after(time.Second, func() { h.load(p) })
		}
		h.registry.Unlock()
		return
	}
	if len(entries) == 0 {
		upTo = max(upTo, last) // the store has nothing of what was counted
	}
	l.kept = keptOf(l.kept, entries, p.Prefix())
	p.Load(l.kept, upTo)
	l.room.Clear() // the messages are the session's
	clear(l.kept)
	l.kept = l.kept[:0]
}

// keptOf appends the entries to all.
func keptOf(all []session.KeptDelivery, entries []store.Entry, prefix string) []session.KeptDelivery {
	for i := range entries {
		all = append(all, kept(&entries[i], prefix))
	}
	return all
}

func shared(s mqtt.Subscription) bool { return strings.HasPrefix(s.Filter, "$share/") }

// passSpilled gives to the other members of its Shared Subscriptions what a
// session that has ended left to the store. It reads the disk, in the rare case
// that there is any.
func (h *hub) passSpilled(cl *client) {
	after, last := cl.peer.Asked()
	if after == last || !slices.ContainsFunc(cl.peer.Subscriptions(), shared) {
		return
	}
	h.router.Settled()
	for {
		entries, upTo, err := h.durable.Read(cl.peer.ClientID(), after, loadBytes)
		if err != nil || len(entries) == 0 {
			return
		}
		var left []session.Unfinished
		for _, e := range keptOf(nil, entries, cl.peer.Prefix()) {
			if share := e.Via.Shared(); share != "" {
				left = append(left, session.Unfinished{Message: e.Message, Share: share})
			}
		}
		cl.peer.PassedOn(len(left))
		h.passOn(left)
		after = upTo
	}
}
