package lines

import (
	"slices"
	"sync"
	"time"
)

const (
	ofClient   = 20   // events that are kept of each client
	inAll      = 4000 // events of all clients
	strangers  = 64   // clients of which only refusals are known
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
	clients map[string][]Event // oldest first
	count   int                // of all
	unknown int                // clients of which only refusals are known
}

// Of returns the events of a client, oldest first.
func (e *Events) Of(client string) []Event {
	e.lock.Lock()
	defer e.lock.Unlock()
	return slices.Clone(e.clients[client])
}

// Add keeps an event; a repeat of the one before is counted.
func (e *Events) Add(client, what, text string) {
	now := time.Now()
	if len(text) > eventBytes {
		text = text[:eventBytes] + "…"
	}
	e.lock.Lock()
	defer e.lock.Unlock()
	list := e.clients[client]
	if n := len(list); n > 0 && list[n-1].What == what && list[n-1].Text == text {
		list[n-1].Time = now
		list[n-1].Count++
		return
	}
	was := stranger(list)
	if len(list) == ofClient {
		e.count--
		list = slices.Delete(list, 0, 1)
	}
	list = append(list, Event{now, what, text, 1})
	if e.clients == nil {
		e.clients = make(map[string][]Event)
	}
	e.clients[client] = list
	e.count++
	switch is := stranger(list); {
	case is && !was:
		if e.unknown++; e.unknown > strangers {
			e.forget(client, stranger)
		}
	case was && !is:
		e.unknown--
	}
	if e.count > inAll {
		e.forget(client, func(list []Event) bool { return true })
	}
}

// stranger reports whether all that is known are refusals.
func stranger(list []Event) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(e Event) bool { return e.What != "refused" })
}

// forget lets the client go that was silent longest, of those that which names;
// never the one that was heard just now.
func (e *Events) forget(now string, which func([]Event) bool) {
	oldest := ""
	var at time.Time
	for id, list := range e.clients {
		if last := list[len(list)-1].Time; id != now && which(list) && (at.IsZero() || last.Before(at)) {
			oldest, at = id, last
		}
	}
	if list := e.clients[oldest]; len(list) > 0 {
		if stranger(list) {
			e.unknown--
		}
		e.count -= len(list)
		delete(e.clients, oldest)
	}
}
