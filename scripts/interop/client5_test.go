package interop

import (
	"context"
	"net"
	"strconv"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// link5 speaks 5.0. The context is that of the test: the methods of link have
// no place for one.
type link5 struct {
	*paho.Client
	conn net.Conn
	t    *testing.T
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
	if o.user != "" {
		connect.Username, connect.UsernameFlag = o.user, true
		connect.Password, connect.PasswordFlag = []byte(o.password), true
	}
	p, _ := connect5(t, b, connect, o)
	return p
}

// connect5 connects with its own words for what only 5.0 knows.
func connect5(t *testing.T, b *broker, connect *paho.Connect, o dialOptions) (*peer, *paho.Client) {
	t.Helper()
	p := newPeer(connect.ClientID, !connect.CleanStart)
	conn, err := b.dial(t, o.transport)
	if err != nil {
		t.Fatal(err)
	}
	c := paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn), PacketTimeout: patience, EnableManualAcknowledgment: o.silent,
		OnServerDisconnect: func(d *paho.Disconnect) { p.ended <- d.ReasonCode },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			m := r.Packet
			p.inbox <- message{topic: m.Topic, payload: string(m.Payload), qos: m.QoS, retain: m.Retain, dup: m.Duplicate(), properties: m.Properties}
			return true, nil
		}},
	})
	ack, err := c.Connect(t.Context(), connect)
	if o.refused {
		return o.refusal(t, err), nil
	}
	if err != nil {
		t.Fatalf("%s connects: %v", connect.ClientID, err)
	}
	p.link, p.present = link5{c, conn, t}, ack.SessionPresent
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

func (l link5) subscribe(s subscription) (byte, error) {
	ctx, cancel := l.context()
	defer cancel()
	packet := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{
		{Topic: s.filter, QoS: s.qos, NoLocal: s.noLocal, RetainAsPublished: s.retainAsPublished, RetainHandling: s.retainHandling},
	}}
	if s.identifier != 0 {
		packet.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: new(s.identifier)}
	}
	ack, err := l.Subscribe(ctx, packet)
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

func (l link5) cut() { _ = l.conn.Close() } // it may have ended
