package interop

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// linkRemote is a connection of a client in another program.
type linkRemote struct {
	r       *remote
	name    string // of the connection, for the driver
	version int
}

var connections atomic.Int64 // gives each its name

// remoteDial returns the dial of a client in another program.
func remoteDial(start func() (*remote, error), version string, usual transport) func(*testing.T, *broker, dialOptions) *peer {
	number := map[string]int{"3.1": 3, "3.1.1": 4, "5.0": 5}[version]
	return func(t *testing.T, b *broker, o dialOptions) *peer {
		t.Helper()
		r, err := start()
		if err != nil {
			t.Fatal(err)
		}
		if o.transport == plain {
			o.transport = usual
		}
		p := newPeer(o.id, o.keep)
		l := linkRemote{r, fmt.Sprintf("%s-%d", o.id, connections.Add(1)), number}
		r.register(l.name, p)
		answer, err := l.connect(b, o)
		if o.refused {
			return o.refusal(t, err)
		}
		if err != nil {
			t.Fatalf("%s connects: %v", o.id, err)
		}
		p.link, p.present = l, answer.Present
		t.Cleanup(p.disconnect)
		return p
	}
}

func (l linkRemote) connect(b *broker, o dialOptions) (reply, error) {
	c := map[string]any{"command": "connect", "client": l.name, "version": l.version, "url": b.url(o.transport),
		"id": o.id, "keep": o.keep, "expiry": sessionExpiry, "silent": o.silent, "user": o.user, "password": o.password}
	if o.transport.tls() {
		c["ca"] = authority()
	}
	if o.transport == mutual {
		c["cert"], c["key"] = clientPair()
	}
	if o.will != nil {
		c["will"] = remoteMessage{Topic: o.will.topic, Payload: []byte(o.will.payload), QoS: o.will.qos, Retain: o.will.retain}
	}
	return l.r.call(c)
}

func (l linkRemote) publish(m message) error {
	_, err := l.r.call(map[string]any{"command": "publish", "client": l.name, "topic": m.topic, "payload": []byte(m.payload),
		"qos": m.qos, "retain": m.retain, "properties": toRemote(m.properties)})
	return err
}

func (l linkRemote) stream(topic string, n int, qos byte) error {
	_, err := l.r.call(map[string]any{"command": "stream", "client": l.name, "topic": topic, "count": n, "qos": qos})
	return err
}

func (l linkRemote) subscribe(s subscription) (byte, error) {
	answer, err := l.r.call(map[string]any{"command": "subscribe", "client": l.name, "version": l.version, "filter": s.filter, "qos": s.qos,
		"noLocal": s.noLocal, "retainAsPublished": s.retainAsPublished, "retainHandling": s.retainHandling, "subscriptionIdentifier": s.identifier})
	return answer.Granted, err
}

func (l linkRemote) unsubscribe(filter string) error {
	_, err := l.r.call(map[string]any{"command": "unsubscribe", "client": l.name, "filter": filter})
	return err
}

func (l linkRemote) disconnect() {
	_, _ = l.r.call(map[string]any{"command": "disconnect", "client": l.name}) // an error means that the connection has ended
}

func (l linkRemote) cut() {
	_, _ = l.r.call(map[string]any{"command": "cut", "client": l.name}) // it may have ended
}
