package interop

import (
	"context"
	"strconv"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// link5 speaks 5.0. The context is that of the test: the methods of link have
// no place for one.
type link5 struct {
	*paho.Client
	t *testing.T
}

// sessionExpiry is the Session Expiry Interval of kept sessions, in seconds.
const sessionExpiry = 300

func dial50(t *testing.T, b *broker, o dialOptions) *peer {
	t.Helper()
	connect := &paho.Connect{ClientID: o.id, CleanStart: !o.keep, KeepAlive: 30, Properties: &paho.ConnectProperties{}}
	if o.keep {
		connect.Properties.SessionExpiryInterval = new(uint32(sessionExpiry))
	}
	if o.will != nil {
		connect.WillMessage = &paho.WillMessage{Topic: o.will.topic, Payload: []byte(o.will.payload), QoS: o.will.qos, Retain: o.will.retain}
	}
	p, _ := connect5(t, b, connect, o.silent)
	return p
}

// client5 connects a 5.0 client with its own words for what only 5.0 knows.
func client5(t *testing.T, b *broker, id string) (*peer, *paho.Client) {
	t.Helper()
	return connect5(t, b, &paho.Connect{ClientID: id, CleanStart: true, KeepAlive: 30}, false)
}

func connect5(t *testing.T, b *broker, connect *paho.Connect, silent bool) (*peer, *paho.Client) {
	t.Helper()
	p := newPeer(connect.ClientID, !connect.CleanStart)
	conn, err := b.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.conn = conn
	c := paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn), PacketTimeout: patience, EnableManualAcknowledgment: silent,
		OnServerDisconnect: func(d *paho.Disconnect) { p.ended <- d.ReasonCode },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			m := r.Packet
			p.inbox <- message{topic: m.Topic, payload: string(m.Payload), qos: m.QoS, retain: m.Retain, dup: m.Duplicate(), properties: m.Properties}
			return true, nil
		}},
	})
	ack, err := c.Connect(t.Context(), connect)
	if err != nil {
		t.Fatalf("%s connects: %v", connect.ClientID, err)
	}
	p.link, p.present = link5{c, t}, ack.SessionPresent
	p.id = c.ClientID()
	t.Cleanup(p.disconnect)
	return p, c
}

func (l link5) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(l.t.Context(), patience)
}

func (l link5) publish(m message) error {
	ctx, cancel := l.context()
	defer cancel()
	_, err := l.Publish(ctx, &paho.Publish{Topic: m.topic, Payload: []byte(m.payload), QoS: m.qos, Retain: m.retain, Properties: m.properties})
	return err
}

func (l link5) stream(topic string, n int, qos byte) error {
	ctx, cancel := l.context()
	defer cancel()
	for i := range n - 1 {
		p := &paho.Publish{Topic: topic, Payload: []byte(strconv.Itoa(i)), QoS: qos}
		if _, err := l.PublishWithOptions(ctx, p, paho.PublishOptions{Method: paho.PublishMethod_AsyncSend}); err != nil {
			return err
		}
	}
	// Acknowledgments come in order: that of the last is that of all.
	return l.publish(message{topic: topic, payload: strconv.Itoa(n - 1), qos: qos})
}

func (l link5) subscribe(filter string, qos byte) (byte, error) {
	return l.subscribeWith(paho.SubscribeOptions{Topic: filter, QoS: qos}, nil)
}

func (l link5) subscribeWith(o paho.SubscribeOptions, p *paho.SubscribeProperties) (byte, error) {
	ctx, cancel := l.context()
	defer cancel()
	ack, err := l.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{o}, Properties: p})
	if err != nil {
		return 0, err
	}
	return ack.Reasons[0], nil
}

func (l link5) unsubscribe(filter string) error {
	ctx, cancel := l.context()
	defer cancel()
	_, err := l.Unsubscribe(ctx, &paho.Unsubscribe{Topics: []string{filter}})
	return err
}

func (l link5) disconnect() {
	_ = l.Disconnect(&paho.Disconnect{}) // an error means that the connection has ended
}
