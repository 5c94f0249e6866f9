package interop

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// link3 speaks 3.1 and 3.1.1.
type link3 struct {
	mqtt.Client
	conn net.Conn
}

func dial31(t *testing.T, b *broker, o dialOptions) *peer  { return dial3(t, b, o, 3) }
func dial311(t *testing.T, b *broker, o dialOptions) *peer { return dial3(t, b, o, 4) }

func dial3(t *testing.T, b *broker, o dialOptions, protocol uint) *peer {
	t.Helper()
	p := newPeer(o.id, o.keep)
	var conn net.Conn // set while Connect runs; never with WebSocket
	opts := mqtt.NewClientOptions().AddBroker(b.url(o.transport)).SetProtocolVersion(protocol).
		SetClientID(o.id).SetCleanSession(!o.keep).SetAutoReconnect(false).SetConnectTimeout(patience).
		SetAutoAckDisabled(o.silent).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			p.inbox <- message{topic: m.Topic(), payload: string(m.Payload()), qos: m.Qos(), retain: m.Retained(), dup: m.Duplicate()}
		}).
		SetConnectionLostHandler(func(mqtt.Client, error) { p.ended <- 0 })
	if o.transport.tls() {
		opts.SetTLSConfig(tlsConfig(t, o.transport))
	}
	if !o.transport.websocket() {
		opts.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			var err error
			conn, err = b.dial(t, o.transport)
			return conn, err
		})
	}
	if o.will != nil {
		opts.SetWill(o.will.topic, o.will.payload, o.will.qos, o.will.retain)
	}
	if o.user != "" {
		opts.SetUsername(o.user).SetPassword(o.password)
	}
	c := mqtt.NewClient(opts)
	connect := c.Connect()
	err := wait(connect)
	if o.refused {
		return o.refusal(t, err)
	}
	if err != nil {
		t.Fatalf("%s connects: %v", o.id, err)
	}
	p.link, p.present = link3{c, conn}, connect.(*mqtt.ConnectToken).SessionPresent()
	t.Cleanup(p.disconnect)
	return p
}

func wait(token mqtt.Token) error {
	if !token.WaitTimeout(patience) {
		return context.DeadlineExceeded
	}
	return token.Error()
}

func (l link3) publish(m message) error {
	return wait(l.Publish(m.topic, m.qos, m.retain, m.payload))
}

func (l link3) stream(topic string, n int, qos byte) error {
	tokens := make([]mqtt.Token, n)
	for i := range tokens {
		tokens[i] = l.Publish(topic, qos, false, strconv.Itoa(i))
	}
	var errs []error
	for _, token := range tokens {
		errs = append(errs, wait(token))
	}
	return errors.Join(errs...)
}

func (l link3) subscribe(s subscription) (byte, error) {
	token := l.Subscribe(s.filter, s.qos, nil)
	if err := wait(token); err != nil {
		return 0, err
	}
	for _, granted := range token.(*mqtt.SubscribeToken).Result() {
		return granted, nil // under the filter, without $share and the name of the group
	}
	return 0, errors.New("SUBACK without a code")
}

func (l link3) unsubscribe(filter string) error { return wait(l.Unsubscribe(filter)) }

func (l link3) disconnect() {
	l.Disconnect(uint(patience.Milliseconds()))
}

func (l link3) cut() { _ = l.conn.Close() } // it may have ended
