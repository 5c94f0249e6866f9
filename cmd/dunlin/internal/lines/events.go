package lines

import (
	"slices"
	"sync"
	"time"
)

const (
	ofClient   = 20   // events that are kept of each client
	inAll      = 4000 // events of all clients
	maxUnknown = 64   // clients of which only refusals are known
	eventBytes = 200  // of a text; longer ones are cut
)

// Event is something that a client did, or that happened to it.
type Event struct {
	Time  time.Time `json:"time"` // of the last of them
	What  string    `json:"what"`
	Text  string    `json:"text"`
	Count int       `json:"count"` // of the same in a row
}

// Events keeps the last events of each client. Those of the client that was
// silent longest go first when there are too many; clients that never got in
// can drive out only each other. The zero value is ready.
type Events struct {
	lock    sync.Mutex
	clients map[string]*history
	known   queue // clients that got in
	unknown queue // clients of which only refusals are known
	count   int   // events of all
}

// history is what is known of one client.
type history struct {
	id           string
	events       []Event // oldest first
	in           *queue
	older, newer *history // in it
}

// queue has clients in the order in which they were heard last.
type queue struct {
	oldest, newest *history
	n              int
}

// Of returns the events of a client, oldest first.
func (e *Events) Of(client string) []Event {
	e.lock.Lock()
	defer e.lock.Unlock()
	if h := e.clients[client]; h != nil {
		return slices.Clone(h.events)
	}
	return nil
}

// Add keeps an event; a repeat of the one before is counted.
func (e *Events) Add(client, what, text string) {
	now := time.Now()
	if len(text) > eventBytes {
		text = text[:eventBytes] + "…"
	}
	e.lock.Lock()
	defer e.lock.Unlock()
	h := e.heard(client, what == "refused")
	if n := len(h.events); n > 0 && h.events[n-1].What == what && h.events[n-1].Text == text {
		h.events[n-1].Time = now
		h.events[n-1].Count++
		return
	}
	if len(h.events) == ofClient {
		h.events = slices.Delete(h.events, 0, 1)
		e.count--
	}
	h.events = append(h.events, Event{now, what, text, 1})
	if e.count++; e.count > inAll {
		e.forget(h)
	}
	if e.unknown.n > maxUnknown {
		e.drop(e.unknown.oldest)
	}
}

// heard moves a client behind all others of its queue, and returns it. One that
// was let in once stays known.
func (e *Events) heard(client string, refused bool) *history {
	h := e.clients[client]
	if h == nil {
		if e.clients == nil {
			e.clients = make(map[string]*history)
		}
		h = &history{id: client, in: &e.unknown}
		e.clients[client] = h
	} else {
		h.leave()
	}
	if !refused {
		h.in = &e.known
	}
	h.older, h.newer = h.in.newest, nil
	if h.older != nil {
		h.older.newer = h
	} else {
		h.in.oldest = h
	}
	h.in.newest = h
	h.in.n++
	return h
}

func (h *history) leave() {
	if h.older != nil {
		h.older.newer = h.newer
	} else {
		h.in.oldest = h.newer
	}
	if h.newer != nil {
		h.newer.older = h.older
	} else {
		h.in.newest = h.older
	}
	h.in.n--
}

// forget lets the client go that was silent longest, never the one that was
// heard just now.
func (e *Events) forget(now *history) {
	h := e.known.oldest
	if u := e.unknown.oldest; h == nil || h == now || u != nil && u != now && u.last().Before(h.last()) {
		h = u
	}
	if h != nil && h != now {
		e.drop(h)
	}
}

func (h *history) last() time.Time { return h.events[len(h.events)-1].Time }

func (e *Events) drop(h *history) {
	h.leave()
	e.count -= len(h.events)
	delete(e.clients, h.id)
}
