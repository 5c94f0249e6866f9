package bridge

import (
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Packet Identifiers. A queue entry's identifier follows from its sequence
// number, so that a resumed session finds it again after a reconnect and after
// a restart of the process alike; what is not from the queue has its own.
const (
	queueIDs    = 65000 // 1 to 65000
	statusID    = 65001 // the status message
	subscribeID = 65002 // SUBSCRIBE, one at a time
)

// MaxInFlight is the most that Options.InFlight can be.
const MaxInFlight = 1000 // well below queueIDs: neighbors never collide

func packetID(seq uint64) uint16 { return uint16(seq%queueIDs) + 1 }

// flight is one PUBLISH awaiting its acknowledgement.
type flight struct {
	seq    uint64   // 0: the status message, which is in no queue
	more   []uint64 // the rest of a batch
	id     uint16
	topic  string
	qos    mqtt.QoS
	size   int
	sent   time.Time
	waits  ackKind // the acknowledgement that comes next
	retain bool
	plain  bool // as in outgoing
	closed bool // that acknowledgement has arrived
}

// window is the send quota of one connection [MQTT-4.9.0-1] and what is in
// flight under it. Resends count like first sends, so the quota can never be
// exceeded or run below zero.
type window struct {
	mu       sync.Mutex
	limit    int // messages
	full     int // limit before it was halved
	maxBytes int
	bytes    int
	flights  map[uint16]*flight
	spare    []*flight // to be used again
	progress time.Time // last acknowledgement, or when the first flight left
	changed  signal    // a place became free
}

func newWindow(limit, maxBytes int) *window {
	return &window{limit: limit, full: limit, maxBytes: maxBytes, flights: map[uint16]*flight{}}
}

// free reports whether one more message may be sent; when not, wait is closed
// at the next change.
func (w *window) free() (ok bool, wait <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.room() {
		return true, nil
	}
	return false, w.changed.wait()
}

// open is free for who does not wait.
func (w *window) open() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.room()
}

func (w *window) room() bool {
	n := len(w.flights)
	return n == 0 || n < w.limit && w.bytes < w.maxBytes
}

// holds reports whether the identifier is in use.
func (w *window) holds(id uint16) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flights[id] != nil
}

// add takes a place for f. It fails when the identifier is still in use.
func (w *window) add(f flight) (ok bool, wait <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.flights[f.id] != nil {
		return false, w.changed.wait()
	}
	if len(w.flights) == 0 {
		w.progress = f.sent
	}
	var kept *flight
	if n := len(w.spare); n > 0 {
		kept, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		kept = new(flight)
	}
	*kept = f
	w.flights[f.id] = kept
	w.bytes += f.size
	return true, nil
}

// acknowledged finds the flight an acknowledgement belongs to. It returns
// false for one that nothing waits for. Between this and advance or drop the
// flight accepts no further acknowledgement.
func (w *window) acknowledged(k ackKind, id uint16, now time.Time) (flight, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.flights[id]
	if f == nil || f.waits != k || f.closed {
		return flight{}, false
	}
	f.closed = true
	w.progress = now
	return *f, true
}

// advance lets the flight wait for its next acknowledgement.
func (w *window) advance(id uint16, next ackKind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.flights[id]; f != nil {
		f.waits, f.closed = next, false
	}
}

// drop ends flights and frees their places. A quota that was halved grows by
// one for each that the server took.
func (w *window) drop(all []flight, taken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range all {
		if f := w.flights[all[i].id]; f != nil {
			w.bytes -= f.size
			delete(w.flights, f.id)
			*f = flight{}
			w.spare = append(w.spare, f)
		}
	}
	if taken {
		w.limit = min(w.full, w.limit+len(all))
	}
	w.changed.tell()
}

// halve takes back the quota after the server asked for less; what is in
// flight above it drains.
func (w *window) halve() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = max(1, w.limit/2)
}

// inFlight returns how many messages await an acknowledgement, since when
// nothing has moved, and what is closed at the next change.
func (w *window) inFlight() (n int, since time.Time, wait <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.flights), w.progress, w.changed.wait()
}

// first returns the oldest queue entry in flight that the server has not taken:
// after PUBREC there is no message left to dislike.
func (w *window) first() (flight, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var head *flight
	for _, f := range w.flights {
		if f.seq != 0 && f.waits != ackPubcomp && (head == nil || f.seq < head.seq) {
			head = f
		}
	}
	if head == nil {
		return flight{}, false
	}
	return *head, true
}
