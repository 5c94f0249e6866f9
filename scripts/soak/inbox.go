package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// inbox is what one session on the server must bring to its client. It begins
// and ends with that session.
type inbox struct {
	owner   string
	streams []*stream // all there are

	mu          sync.Mutex
	subs        map[string]mqtt.QoS // granted, or asked for
	granted     map[string]bool
	tracks      map[uint32]*track // by stream
	received    map[uint16]bool   // QoS 2 identifiers not yet released
	connections int               // Network Connections of the session so far
	floors      map[uint32]uint64 // the oldest retained message of each stream that may come
	ended       time.Time         // when the session ended or ends by itself; zero while it lives
}

// track is where the session is in one stream.
type track struct {
	stream *stream
	from   uint64 // the first that must come; 0: none must
	last   uint64 // the highest that came
	until  uint64 // the first that must not come; 0: subscribed
}

// delivery is one PUBLISH as the client sees it.
type delivery struct {
	topic  string
	stream uint32
	number uint64
	qos    mqtt.QoS
	dup    bool
}

func newInbox(owner string, streams []*stream) *inbox {
	return &inbox{
		owner: owner, streams: streams, subs: make(map[string]mqtt.QoS), granted: make(map[string]bool),
		tracks: make(map[uint32]*track), received: make(map[uint16]bool), floors: make(map[uint32]uint64),
	}
}

// asking is called before SUBSCRIBE is sent: from now on messages may come.
func (b *inbox) asking(filter string, qos mqtt.QoS) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs[filter] = qos
	for _, s := range b.streams {
		if !topic.Match(filter, s.topic) {
			continue
		}
		t := b.tracks[s.id]
		if t == nil {
			t = &track{stream: s}
			b.tracks[s.id] = t
		}
		t.until = 0
	}
}

// subscribed is called when SUBACK came: what is sent from now on must come.
func (b *inbox) subscribed(filter string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.granted[filter] = true
	b.require()
}

// leaving is called before UNSUBSCRIBE is sent: nothing must come any more.
func (b *inbox) leaving(filter string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.granted, filter)
	b.require()
}

// unsubscribed is called when UNSUBACK came: nothing that is sent from now on
// may come.
func (b *inbox) unsubscribed(filter string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subs, filter)
	for _, t := range b.tracks {
		if t.until == 0 && !b.matches(t.stream.topic) {
			t.until = t.stream.last() + 1
		}
	}
}

func (b *inbox) matches(name string) bool {
	for filter := range b.subs {
		if topic.Match(filter, name) {
			return true
		}
	}
	return false
}

// require sets where each stream begins to be owed: when the first subscription
// with QoS 1 or 2 is granted.
func (b *inbox) require() {
	for _, t := range b.tracks {
		sure := false
		for filter := range b.granted {
			if b.subs[filter] > 0 && topic.Match(filter, t.stream.topic) {
				sure = t.stream.qos > 0
				break
			}
		}
		switch {
		case !sure:
			t.from = 0
		case t.from == 0:
			t.from = t.stream.last() + 1
		}
	}
}

// take judges a delivery; nil means that it may come, now.
func (b *inbox) take(d delivery) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tracks[d.stream]
	switch {
	case t == nil:
		return fmt.Errorf("number %d of stream %d (%s) came without a subscription", d.number, d.stream, d.topic)
	case t.stream.topic != d.topic:
		return fmt.Errorf("%s came with the topic %s", t, d.topic)
	case d.qos > t.stream.qos:
		return fmt.Errorf("%s came with QoS %d", t, d.qos)
	case d.number > t.stream.last():
		return fmt.Errorf("%s: number %d was never sent", t, d.number)
	case t.until > 0 && d.number >= t.until:
		return fmt.Errorf("%s: number %d was sent after UNSUBACK (before %d)", t, d.number, t.until)
	case d.dup && b.connections == 1:
		return fmt.Errorf("%s: number %d came with DUP in the first connection of the session", t, d.number)
	}
	if d.number <= t.last {
		if d.qos == mqtt.AtLeastOnce && d.dup || t.stream.wasRepeated(d.number) {
			return nil
		}
		return fmt.Errorf("%s: number %d came again or out of order after %d, with QoS %d", t, d.number, t.last, d.qos)
	}
	before := t.last
	t.last = d.number
	if t.from == 0 {
		return nil
	}
	if n := t.stream.firstOwed(max(before+1, t.from), d.number-1); n > 0 {
		return fmt.Errorf("%s: number %d came after %d, but %d is owed (from %d)", t, d.number, before, n, t.from)
	}
	return nil
}

// missing returns one message that is owed and has not come, "" when there is
// none. Nobody may publish meanwhile.
func (b *inbox) missing() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.tracks {
		if t.from == 0 {
			continue
		}
		if n := t.stream.firstOwed(max(t.last+1, t.from), t.stream.last()); n > 0 {
			return fmt.Sprintf("%s: number %d, after %d", t, n, t.last)
		}
	}
	return ""
}

func (t *track) String() string {
	return fmt.Sprintf("stream %d (%s, QoS %d)", t.stream.id, t.stream.topic, t.stream.qos)
}

// expectRetained is called before SUBSCRIBE is sent: a retained message that
// was replaced before must not come.
func (b *inbox) expectRetained(filter string, all []*kept) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range all {
		if _, known := b.floors[k.stream.id]; !known && topic.Match(filter, k.stream.topic) {
			b.floors[k.stream.id] = k.floor()
		}
	}
}

func (b *inbox) floor(stream uint32) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.floors[stream]
}

func (b *inbox) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	state := "live"
	if !b.ended.IsZero() {
		state = fmt.Sprintf("ends in %v", time.Until(b.ended).Round(time.Millisecond))
	}
	return fmt.Sprintf("%s, %d connections, %s", b.owner, b.connections, state)
}

// end says when the session ends; zero: it has.
func (b *inbox) end(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	b.ended = at
}

// resumed takes back what end said.
func (b *inbox) resumed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = time.Time{}
}

// over reports whether the session may have ended.
func (b *inbox) over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.ended.IsZero() && time.Now().After(b.ended.Add(-50*time.Millisecond))
}

// inhabited reports whether the session has subscriptions.
func (b *inbox) inhabited() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.subs)+len(b.granted) > 0
}

func (b *inbox) isGranted(filter string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.granted[filter]
}
