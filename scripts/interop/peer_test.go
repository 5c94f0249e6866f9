package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// message is one PUBLISH packet, received or expected.
type message struct {
	topic, payload string
	qos            byte
	retain, dup    bool
	properties     *paho.PublishProperties // 5.0 only
}

func (m message) String() string {
	payload := m.payload
	if len(payload) > 40 {
		payload = fmt.Sprintf("%s… (%d bytes)", payload[:40], len(m.payload))
	}
	return fmt.Sprintf("%s %q qos=%d retain=%t dup=%t", m.topic, payload, m.qos, m.retain, m.dup)
}

// link is what every version of MQTT can do, and both clients.
type link interface {
	// publish returns when the exchange of the QoS has ended.
	publish(m message) error
	// stream publishes the numbers from 0 to n-1 without waiting for one
	// before the next, and returns when all are acknowledged.
	stream(topic string, n int, qos byte) error
	// subscribe returns the granted QoS, or the reason code of a refusal.
	subscribe(s subscription) (byte, error)
	unsubscribe(filter string) error
	// disconnect sends DISCONNECT and waits for the client; twice does nothing.
	disconnect()
	// cut drops the connection without DISCONNECT.
	cut()
}

// subscription is one entry of SUBSCRIBE; versions before 5.0 know filter and
// qos.
type subscription struct {
	filter            string
	qos               byte
	noLocal           bool
	retainAsPublished bool
	retainHandling    byte
	identifier        int // 0 for none
}

// peer is a connected client.
type peer struct {
	link
	id      string
	keep    bool         // the session may have begun with an earlier connection
	present bool         // Session Present
	inbox   chan message // what came, in order
	ended   chan byte    // the end of the connection by the broker: reason code, 0 in 3.x
}

// inboxSize is more than any test receives: handlers of clients never block.
const inboxSize = 4096

func newPeer(id string, keep bool) *peer {
	return &peer{id: id, keep: keep, inbox: make(chan message, inboxSize), ended: make(chan byte, 1)}
}

// dialOptions say how to connect, in words of every version.
type dialOptions struct {
	id     string
	keep   bool     // Clean Session 0; in 5.0 Clean Start 0 and a Session Expiry Interval
	will   *message // nil for none
	silent bool     // does not acknowledge what it receives

	transport      transport // 0 is that of the client
	user, password string
	refused        bool // the broker must refuse; there is no peer then
}

// refusal checks how a connect went that had to be refused.
func (o dialOptions) refusal(t *testing.T, err error) *peer {
	t.Helper()
	if err == nil {
		t.Errorf("MQTT-3.1.4-2 %s (user %q) was let in", o.id, o.user)
	}
	return nil
}

// leave disconnects and returns when the broker has forgotten the connection:
// another one can be made with the Client Identifier only after that.
func (p *peer) leave(t *testing.T, b *broker) {
	t.Helper()
	p.disconnect()
	dial311(t, b, dialOptions{id: p.id}).disconnect()
}

func (p *peer) mustPublish(t *testing.T, m message) {
	t.Helper()
	if err := p.publish(m); err != nil {
		t.Fatalf("%s publishes %s: %v", p.id, m, err)
	}
}

func (p *peer) mustSubscribe(t *testing.T, filter string, qos byte) {
	t.Helper()
	p.mustSubscribeWith(t, subscription{filter: filter, qos: qos})
}

func (p *peer) mustSubscribeWith(t *testing.T, s subscription) {
	t.Helper()
	granted, err := p.subscribe(s)
	if err != nil {
		t.Fatalf("%s subscribes to %s: %v", p.id, s.filter, err)
	}
	if granted != s.qos {
		t.Fatalf("%s subscribes to %s with QoS %d: granted %#x", p.id, s.filter, s.qos, granted)
	}
}

// next waits for the next message.
func (p *peer) next(t *testing.T) message {
	t.Helper()
	select {
	case m := <-p.inbox:
		return m
	case <-time.After(patience):
		t.Fatalf("%s waits in vain for a message", p.id)
		return message{}
	}
}

// expect wants the next message to be want; properties are not compared. A
// session that goes on may set DUP where it is not wanted: the broker may have
// sent the message already while the connection before ended.
func (p *peer) expect(t *testing.T, want message) message {
	t.Helper()
	got := p.next(t)
	bare := got
	want.properties, bare.properties = nil, nil
	if p.keep && !want.dup {
		bare.dup = false
	}
	if bare != want {
		t.Fatalf("%s received %s, want %s", p.id, got, want)
	}
	return got
}

// nothing wants no message to be under way.
func (p *peer) nothing(t *testing.T) {
	t.Helper()
	p.nothingAfter(t, func(m message) { t.Fatalf("%s received %s, want nothing", p.id, m) })
}

// nothingAfter hands over what is under way: one that p sends to itself now
// comes after all that was published before.
func (p *peer) nothingAfter(t *testing.T, each func(message)) {
	t.Helper()
	fence := message{topic: "fence/" + p.id, payload: "fence", qos: 1}
	p.mustSubscribe(t, fence.topic, 1)
	p.mustPublish(t, fence)
	for {
		m := p.next(t)
		if m.topic == fence.topic {
			break
		}
		each(m)
	}
	if err := p.unsubscribe(fence.topic); err != nil {
		t.Fatalf("%s unsubscribes: %v", p.id, err)
	}
}

// end waits for the end of the connection and returns the reason.
func (p *peer) end(t *testing.T) byte {
	t.Helper()
	select {
	case reason := <-p.ended:
		return reason
	case <-time.After(patience):
		t.Fatalf("the connection of %s does not end", p.id)
		return 0
	}
}
