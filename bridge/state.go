package bridge

import (
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// State is where a bridge stands.
type State string

// The states of a bridge.
const (
	Starting   State = "starting"   // Run has not begun to connect
	Connecting State = "connecting" // an attempt is under way
	Up         State = "up"
	Stalled    State = "stalled" // connected, and messages in flight are not acknowledged
	Down       State = "down"    // waiting for the next attempt; Class and Reason say why
)

// EventKind names an Event.
type EventKind string

// The kinds of events.
const (
	EventUp      EventKind = "up"      // connected
	EventDown    EventKind = "down"    // the connection or an attempt failed: Class, Reason
	EventWaiting EventKind = "waiting" // Messages are in the queue; next attempt in Duration
	EventStorm   EventKind = "storm"   // a loop stopped the route down from Reason for Duration
	EventDrained EventKind = "drained" // Messages that waited were acknowledged, in Duration
)

// Event is a change of a bridge's state.
type Event struct {
	Kind     EventKind
	Bridge   string
	Time     time.Time
	Class    Class
	Reason   string
	Messages int
	Duration time.Duration
}

// Dead is a message that was given up for a lasting reason.
type Dead struct {
	Topic  string // upstream topic
	Reason mqtt.ReasonCode
	Time   time.Time
}

// Stats describes a bridge at one moment; counters count since New.
type Stats struct {
	State    State
	Since    time.Time // of State; while the bridge has no link, of that
	Class    Class     // of the last failure; empty while up
	Reason   string
	Attempts uint64 // attempts to connect
	Connects uint64 // attempts that succeeded
	Server   string // host:port of the present or last connection
	Paused   bool   // by Pause

	Queue    mqtt.QueueStats
	InFlight int           // PUBLISH packets awaiting their last acknowledgement
	Sent     uint64        // PUBLISH packets written, resends included
	Payload  uint64        // their payload bytes
	Acked    uint64        // messages acknowledged by the server
	Resent   uint64        // PUBLISH packets written with DUP=1
	Again    uint64        // messages sent anew because the server had lost the session
	Thinned  uint64        // messages left out or replaced while the link was down
	Today    int64         // bytes of PUBLISH packets since midnight UTC
	Expired  uint64        // messages that waited longer than they live or their route allows
	Purged   uint64        // messages deleted by an operator
	Unrouted uint64        // messages that no route wants any more
	Storms   uint64        // times that a loop stopped a route down
	Looped   uint64        // messages not sent because they had crossed too many bridges
	Refused  uint64        // PUBACK and PUBREC with a failure, retried ones included
	Dead     uint64        // messages given up: too large, or refused for good
	DeadKept int           // entries of the dead-letter queue
	LastDead []Dead        // the latest of them, oldest first, at most 8
	RTT      time.Duration // smoothed time from PUBLISH to PUBACK or PUBREC
	LastAck  time.Time
	LastLoss time.Time     // when Stats first saw that another message was lost
	AckAge   time.Duration // how long messages in flight have waited for any acknowledgement; 0 with none in flight
	Rate     float64       // messages/s acknowledged, smoothed over 10 s
	Drain    time.Duration // until the queue is empty at that rate, if nothing came; 0 when it is, or nothing moves

	Received  uint64 // messages from upstream published locally
	Taken     uint64 // their payload bytes
	Duplicate uint64 // messages from upstream that came again and were not published again: resent with QoS 2, or retained here
	Rejected  uint64 // messages from upstream that the local broker refused, no route wanted, or that looped
	Refusals  map[mqtt.ReasonCode]uint64
	// NotSubscribed are the filters of In that the server did not take, each
	// with the reason, on the latest connection that asked.
	NotSubscribed []string
}

// Unaccounted is what was accepted and is neither acknowledged, in flight or
// queued, nor dropped for a reason, the dead among them: 0 at any time.
func (s *Stats) Unaccounted() int64 {
	q := &s.Queue
	return int64(q.Accepted) - int64(q.Removed) - int64(q.Dropped) - int64(q.Messages)
}

// ackLate is how long an acknowledgement may take before the link counts as
// stalled, well before it is given up.
const ackLate = 15 * time.Second

// judge tells the state of a link that is up by its acknowledgements: n
// messages are in flight, nothing has moved since then.
func (s *Stats) judge(now time.Time, n int, since time.Time) {
	if s.State != Up || n == 0 {
		return
	}
	s.AckAge = now.Sub(since)
	if s.AckAge > ackLate {
		s.State, s.Since = Stalled, since
		s.Class, s.Reason = ClassStalled, "no acknowledgement of what is in flight"
	}
}

// gaveUp counts an entry that was not sent.
func (s *Stats) gaveUp(why fate) {
	switch why {
	case fateLooped:
		s.Looped++
	case fateUnrouted:
		s.Unrouted++
	case fateExpired:
		s.Expired++
	}
}

const lastDead = 8

// status is the shared part of a bridge that Stats reads.
type status struct {
	mu     sync.Mutex
	s      Stats
	logged map[mqtt.ReasonCode]bool // reasons of refusal already logged
	rate   meter
	losses uint64
}

// meter is a rate, smoothed over rateSpan.
type meter struct {
	rate float64 // per second, at at
	at   time.Time
}

const rateSpan = 10 * time.Second

func (m *meter) now(now time.Time) float64 {
	return m.rate * math.Exp(-now.Sub(m.at).Seconds()/rateSpan.Seconds())
}

func (m *meter) count(now time.Time, n int) {
	m.rate, m.at = m.now(now)+float64(n)/rateSpan.Seconds(), now
}

func newStatus(now time.Time) *status {
	return &status{
		s:      Stats{State: Starting, Since: now, Refusals: map[mqtt.ReasonCode]uint64{}},
		logged: map[mqtt.ReasonCode]bool{},
	}
}

func (t *status) update(f func(*Stats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.s)
}

func (t *status) snapshot() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.s
	s.LastDead = slices.Clone(s.LastDead)
	s.Refusals = maps.Clone(s.Refusals)
	s.Rate = t.rate.now(time.Now())
	return s
}

func (t *status) state(now time.Time, s State) {
	t.update(func(st *Stats) {
		if st.State != s && st.State != Down { // one failed attempt after the other is one outage
			st.Since = now
		}
		st.State = s
	})
}

// lost notes how many messages have been lost, and returns when they became
// more.
func (t *status) lost(now time.Time, n uint64) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n != t.losses {
		t.losses, t.s.LastLoss = n, now
	}
	return t.s.LastLoss
}

// acked counts acknowledged messages.
func (t *status) acked(now time.Time, messages int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Acked += uint64(messages)
	t.s.LastAck = now
	t.rate.count(now, messages)
}

// rtt takes round trips that ended at now into the smoothed value, weight 1/8
// as in TCP.
func (t *status) rtt(now time.Time, all []ack) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range all {
		if a := &all[i]; a.kind != ackPubcomp {
			d := now.Sub(a.f.sent)
			if t.s.RTT == 0 {
				t.s.RTT = d
			}
			t.s.RTT += (d - t.s.RTT) / 8
		}
	}
}

// refused counts a failure code; first is true when it was not seen before.
func (t *status) refused(code mqtt.ReasonCode) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Refused++
	t.s.Refusals[code]++
	first = !t.logged[code]
	t.logged[code] = true
	return first
}

// dead counts a message given up.
func (t *status) dead(now time.Time, topic string, code mqtt.ReasonCode) {
	t.update(func(s *Stats) {
		s.Dead++
		if len(s.LastDead) == lastDead {
			s.LastDead = slices.Delete(s.LastDead, 0, 1)
		}
		s.LastDead = append(s.LastDead, Dead{Topic: topic, Reason: code, Time: now})
	})
}
