package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// window is how many PUBLISH with QoS 1 and 2 an actor has in flight: less
// than the server's Receive Maximum.
const window = 8

// actor is one Client Identifier through all its connections.
type actor struct {
	world    *world
	name     string
	version  mqtt.Version
	rand     *rand.Rand // of the goroutine of live only
	streams  []*stream
	kept     *kept // nil unless the last of streams is retained
	filters  []subscription
	durable  bool // usually comes back to its session
	faithful bool // always does, soon: a Shared Subscription is never without a member

	mu     sync.Mutex
	link   *link
	box    *inbox // nil when the server has no session of it
	sent   []*sending
	lastID uint16
	alive  time.Time // until when the server must keep the session
	how    string    // how the last connection ended
	idle   bool      // connected for good
	will   *will     // of the last connection, while it may be published
}

// subscription is a filter that an actor uses, always with the same QoS.
type subscription struct {
	filter string
	qos    mqtt.QoS
	group  *group
}

// sending is a PUBLISH that was not acknowledged.
type sending struct {
	id       uint16
	stream   *stream
	number   uint64
	payload  []byte
	received bool // PUBREC came
}

// link is one Network Connection of an actor.
type link struct {
	*wire
	clean     bool
	expiry    time.Duration
	keepAlive time.Duration
	asked     time.Time // when CONNECT was sent
	accepted  chan error
	done      chan struct{} // closed when reading has ended
	err       error         // why, once done is closed
	reason    mqtt.ReasonCode
	aliases   map[uint16]string
	pending   map[uint16]request
}

// request is a SUBSCRIBE or UNSUBSCRIBE without an answer.
type request struct {
	filter string
	leave  bool
}

// errRefused is an answer to a CONNECT that was not looked at: a client tries
// again.
var errRefused = errors.New("connection refused")

// handle works off one packet of the server.
func (a *actor) handle(l *link, v *packet.View) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch v.Type {
	case packet.CONNACK:
		return a.connected(l, v)
	case packet.PUBLISH:
		return a.received(l, v)
	case packet.PUBREL:
		delete(a.box.received, v.ID)
		return l.send(&packet.View{Type: packet.PUBCOMP, ID: v.ID})
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP:
		return a.acknowledged(l, v)
	case packet.SUBACK, packet.UNSUBACK:
		return a.answered(l, v)
	case packet.DISCONNECT:
		l.reason = v.Reason
	}
	return nil
}

// connected checks Session Present and takes the session up where it was.
func (a *actor) connected(l *link, v *packet.View) error {
	if v.Reason.Failed() {
		err := fmt.Errorf("connection not accepted: %v", v.Reason)
		if v.Reason == mqtt.ServerBusy || v.Reason == mqtt.ServerUnavailable {
			err = fmt.Errorf("%w: %v", errRefused, v.Reason)
		}
		l.accepted <- err
		return err
	}
	now := time.Now()
	must, mustNot := a.box != nil && now.Before(a.alive), a.box == nil || l.clean || l.asked.After(a.alive.Add(a.world.late))
	present := v.SessionPresent || a.version == mqtt.V31 && must && !mustNot // 3.1 does not say
	if present && mustNot {
		a.fault("Session Present, but the session must be gone (clean start %v, known %v, expired for %v, last end: %s)",
			l.clean, a.box != nil, now.Sub(a.alive).Round(time.Millisecond), a.how)
	}
	if !present && must && !mustNot {
		a.fault("the session is gone %v before its expiry, last end: %s", a.alive.Sub(now).Round(time.Millisecond), a.how)
	}
	if !present {
		a.forget()
		a.box = newInbox(a.name, a.world.streams)
	}
	a.box.connections++
	for _, s := range a.sent {
		if err := a.resend(l, s); err != nil {
			return err
		}
	}
	l.accepted <- nil
	return nil
}

// forget gives up what was promised by a session that is gone.
func (a *actor) forget() {
	for _, s := range a.sent {
		s.stream.giveUp(s.number)
	}
	a.sent = nil
	if a.box != nil {
		a.box.end(time.Time{})
	}
	a.box = nil
}

func (a *actor) resend(l *link, s *sending) error {
	if s.received {
		return l.send(&packet.View{Type: packet.PUBREL, ID: s.id})
	}
	if s.stream.qos == mqtt.AtLeastOnce {
		s.stream.repeated(s.number)
	}
	return l.send(s.view(true))
}

func (s *sending) view(dup bool) *packet.View {
	return &packet.View{Type: packet.PUBLISH, ID: s.id, Publish: packet.Publish{
		Topic: []byte(s.stream.topic), Payload: s.payload, QoS: s.stream.qos, Dup: dup, Retain: s.stream.retain,
	}}
}

// publish sends the next message of a stream, unless the window is full.
func (a *actor) publish(s *stream, filling int, clear bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sent) >= window {
		return nil
	}
	n := s.take()
	m := &sending{stream: s, number: n, payload: encodePayload(s, n, filling)}
	if s.retain {
		if clear {
			m.payload = nil
			s.giveUp(n) // an empty payload cannot tell its number
		}
		a.kept.sent(n, clear)
	}
	if s.qos > mqtt.AtMostOnce {
		m.id = a.identifier()
		a.sent = append(a.sent, m)
	}
	return a.link.send(m.view(false))
}

func (a *actor) identifier() uint16 {
	for {
		a.lastID = a.lastID%60000 + 1
		if !slices.ContainsFunc(a.sent, func(s *sending) bool { return s.id == a.lastID }) {
			return a.lastID
		}
	}
}

// acknowledged takes PUBACK, PUBREC and PUBCOMP.
func (a *actor) acknowledged(l *link, v *packet.View) error {
	i := slices.IndexFunc(a.sent, func(s *sending) bool { return s.id == v.ID })
	if i < 0 {
		a.fault("%d for identifier %d, which is not in use", v.Type, v.ID)
		return nil
	}
	s := a.sent[i]
	// PUBREL that is sent again may come after it did its work.
	if v.Reason.Failed() && !(v.Type == packet.PUBCOMP && v.Reason == mqtt.PacketIdentifierNotFound && a.box.connections > 1) {
		a.fault("message refused: %v", v.Reason)
	}
	if v.Type == packet.PUBREC {
		s.received = true
		return l.send(&packet.View{Type: packet.PUBREL, ID: v.ID})
	}
	a.sent = slices.Delete(a.sent, i, i+1)
	s.stream.acknowledged(s.number)
	if s.stream.retain {
		a.kept.acknowledged(s.number)
	}
	return nil
}

// received takes a PUBLISH and acknowledges it at once.
func (a *actor) received(l *link, v *packet.View) error {
	p := &v.Publish
	name := string(p.Topic)
	if alias := v.Properties.TopicAlias; alias > 0 {
		if name == "" {
			name = l.aliases[alias]
		}
		l.aliases[alias] = name
	}
	if p.QoS < mqtt.ExactlyOnce || !a.box.received[v.ID] {
		a.judge(name, p)
	}
	switch p.QoS {
	case mqtt.AtLeastOnce:
		return l.send(&packet.View{Type: packet.PUBACK, ID: v.ID})
	case mqtt.ExactlyOnce:
		a.box.received[v.ID] = true
		return l.send(&packet.View{Type: packet.PUBREC, ID: v.ID})
	}
	return nil
}

// judge asks the models whether this message may come now.
func (a *actor) judge(name string, p *packet.Publish) {
	if len(p.Payload) == 0 && strings.HasPrefix(name, "ret/") {
		return
	}
	id, number, ok := decodePayload(p.Payload)
	if !ok || int(id) >= len(a.world.streams) {
		a.fault("a payload of %d bytes on %s that nobody sent", len(p.Payload), name)
		return
	}
	s := a.world.streams[id]
	d := delivery{topic: name, stream: id, number: number, qos: p.QoS, dup: p.Dup}
	var err error
	switch {
	case p.Retain && !s.retain:
		err = fmt.Errorf("number %d of %s came with RETAIN", number, name)
	case p.Retain:
		if floor := a.box.floor(id); number < floor {
			err = fmt.Errorf("retained message %d of %s is older than %d, acknowledged before the subscription", number, name, floor)
		}
	case s.group != nil:
		err = s.group.take(s, a.box, d)
	default:
		err = a.box.take(d)
	}
	if err != nil {
		a.fault("%v", err)
	}
	a.world.delivered.Add(1)
}

// answered takes SUBACK and UNSUBACK.
func (a *actor) answered(l *link, v *packet.View) error {
	r, ok := l.pending[v.ID]
	if !ok {
		a.fault("an answer to identifier %d, which was not asked", v.ID)
		return nil
	}
	delete(l.pending, v.ID)
	switch {
	case r.leave:
		a.box.unsubscribed(r.filter)
	case len(v.Reasons) != 1 || v.Reasons[0].Failed():
		a.fault("subscription to %s answered with %v", r.filter, v.Reasons)
	default:
		a.box.subscribed(r.filter)
	}
	return nil
}

func (a *actor) subscribe(s subscription) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.link.asks(s.filter) {
		return nil
	}
	if s.group == nil {
		a.box.asking(s.filter, s.qos)
		a.box.expectRetained(s.filter, a.world.kept)
	}
	id := a.request(request{filter: s.filter})
	return a.link.send(&packet.View{Type: packet.SUBSCRIBE, ID: id, Filters: []packet.Filter{{Filter: []byte(s.filter), QoS: s.qos}}})
}

func (a *actor) unsubscribe(filter string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.link.asks(filter) {
		return nil
	}
	a.box.leaving(filter)
	id := a.request(request{filter: filter, leave: true})
	return a.link.send(&packet.View{Type: packet.UNSUBSCRIBE, ID: id, Filters: []packet.Filter{{Filter: []byte(filter)}}})
}

// asks reports whether an answer about the filter is on its way: a second
// request would make it unclear what holds.
func (l *link) asks(filter string) bool {
	for _, r := range l.pending {
		if r.filter == filter {
			return true
		}
	}
	return false
}

func (a *actor) request(r request) uint16 {
	id := uint16(60001)
	for a.link.pending[id] != (request{}) {
		id++
	}
	a.link.pending[id] = r
	return id
}

// missing is what is still owed to or by this actor; "" for nothing.
func (a *actor) missing() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sent) > 0 {
		return fmt.Sprintf("%d messages without an acknowledgement", len(a.sent))
	}
	if a.box == nil {
		return ""
	}
	return a.box.missing()
}

func (a *actor) fault(format string, args ...any) {
	a.world.fault(fmt.Sprintf("%s (%v): ", a.name, a.version) + fmt.Sprintf(format, args...))
}
