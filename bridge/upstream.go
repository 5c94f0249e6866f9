package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// limits are what a CONNACK allows and says about the session.
type limits struct {
	sessionPresent bool
	receiveMaximum int
	maximumQoS     mqtt.QoS
	retain         bool
	packetSize     uint32 // bytes; 0: no limit
}

// ackKind is an acknowledgement the bridge waits for.
type ackKind byte

const (
	ackPuback ackKind = iota + 1
	ackPubrec
	ackPubcomp
)

// outgoing is one PUBLISH towards the server.
type outgoing struct {
	topic   string
	payload []byte
	props   *mqtt.Properties
	qos     mqtt.QoS
	retain  bool
	dup     bool
	id      uint16
	expiry  uint32 // s, of hasExpiry
	hasExp  bool
	hops    string // value of the hop count property; empty: none
}

// inbound is one PUBLISH from the server.
type inbound struct {
	topic   string
	payload []byte
	props   *mqtt.Properties
	qos     mqtt.QoS
	retain  bool
	id      uint16
	expiry  uint32
	hasExp  bool
}

// callbacks are what a connection tells the bridge. connected is called once,
// before all others. received is called by one goroutine, in order, and may
// block; the other two are called by the reader and must not.
type callbacks struct {
	connected    func(limits)
	acknowledged func(k ackKind, id uint16, code mqtt.ReasonCode)
	received     func(inbound) (code mqtt.ReasonCode, err error)
	released     func(id uint16) mqtt.ReasonCode // PUBREL
}

// upstream is one connection to the server, through paho.Client: its codec,
// its reader, its keep alive. The session is ours.
type upstream struct {
	client  *paho.Client
	session *session
	wire    *wire
	down    chan error // the first failure, buffered
	scratch bytes.Buffer
}

// connectUpstream sends CONNECT on c and waits for CONNACK. It owns c from now
// on, also when it fails.
func connectUpstream(ctx context.Context, c net.Conn, o *Options, cb callbacks) (*upstream, error) {
	u := &upstream{down: make(chan error, 1)}
	u.wire = newWire(c, o.PacketSize, u.report)
	u.session = &session{u: u, cb: cb}
	u.client = paho.NewClient(paho.ClientConfig{
		Conn: u.wire, Session: u.session, PacketTimeout: connackTimeout,
		AuthHandler:        refuseAuth{u}, // nil would panic in paho
		PingHandler:        &pinger{wire: u.wire},
		OnPublishReceived:  []func(paho.PublishReceived) (bool, error){u.session.publishReceived},
		OnClientError:      u.report,
		OnServerDisconnect: func(*paho.Disconnect) {}, // ConnectionLost has it already
	})
	ack, err := u.client.Connect(ctx, connectPacket(o))
	switch {
	case err == nil:
		return u, nil
	case ack != nil && ack.ReasonCode >= 0x80:
		text := ""
		if ack.Properties != nil {
			text = ack.Properties.ReasonString
		}
		return nil, refusal("CONNACK", mqtt.ReasonCode(ack.ReasonCode), text)
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return nil, failf(ClassTimeout, "no CONNACK within %v", connackTimeout)
	}
	select {
	case first := <-u.down:
		return nil, first
	default:
		return nil, fmt.Errorf("wait for CONNACK: %w", err)
	}
}

// receiveMaximum is how many QoS 1 and 2 messages the server may send before
// they are acknowledged. It must be sent: paho sizes a channel by it.
const receiveMaximum = 20

func connectPacket(o *Options) *paho.Connect {
	expiry := uint32(min(o.SessionExpiry/time.Second, 0xFFFFFFFE))
	receive, size := uint16(receiveMaximum), o.PacketSize
	p := &paho.Connect{
		ClientID: o.ClientID, KeepAlive: uint16(o.KeepAlive / time.Second),
		Username: o.Username, UsernameFlag: o.Username != "",
		Password: []byte(o.Password), PasswordFlag: o.Password != "",
		Properties: &paho.ConnectProperties{
			SessionExpiryInterval: &expiry, ReceiveMaximum: &receive, MaximumPacketSize: &size,
			RequestProblemInfo: true,
		},
	}
	if o.StatusTopic != "" {
		p.WillMessage = &paho.WillMessage{Topic: o.StatusTopic, Payload: []byte(statusOffline), QoS: 1, Retain: true}
		p.WillProperties = &paho.WillProperties{}
	}
	return p
}

// The payloads of the status topic.
const (
	statusOnline  = "online"
	statusOffline = "offline"
)

// report keeps the first failure of the connection.
func (u *upstream) report(err error) {
	select {
	case u.down <- err:
	default:
	}
}

// guard turns a panic in a callback into a failure of this connection.
func (u *upstream) guard() {
	if r := recover(); r != nil {
		u.wire.fail(failf(ClassLocal, "panic: %v", r))
	}
}

// subscribe sends one SUBSCRIBE and waits for its SUBACK, at most 10 s. The
// codes are in the order of subs. An error that is not a *failure means that
// the server cannot do what was asked; the connection stays up.
func (u *upstream) subscribe(ctx context.Context, subs []mqtt.Subscription) ([]mqtt.ReasonCode, error) {
	p := &paho.Subscribe{}
	for _, s := range subs {
		p.Subscriptions = append(p.Subscriptions, paho.SubscribeOptions{
			Topic: s.Filter, QoS: byte(s.QoS), NoLocal: s.NoLocal,
			RetainAsPublished: s.RetainAsPublished, RetainHandling: byte(s.RetainHandling),
		})
	}
	ack, err := u.client.Subscribe(ctx, p)
	if ack == nil {
		switch {
		case errors.Is(err, paho.ErrInvalidArguments):
			return nil, err
		case errors.Is(err, context.DeadlineExceeded):
			return nil, failf(ClassTimeout, "no SUBACK within %v", connackTimeout)
		}
		return nil, failf(ClassTCP, "subscribe: %w", err)
	}
	codes := make([]mqtt.ReasonCode, len(ack.Reasons))
	for i, c := range ack.Reasons {
		codes[i] = mqtt.ReasonCode(c)
	}
	return codes, nil
}

// encode returns o as a PUBLISH packet; the bytes are valid until the next
// call. Only the sender calls it.
func (u *upstream) encode(o *outgoing) ([]byte, error) {
	p := &packets.Publish{
		Topic: o.topic, Payload: o.payload, PacketID: o.id,
		QoS: byte(o.qos), Duplicate: o.dup, Retain: o.retain,
		Properties: &packets.Properties{},
	}
	if o.hasExp {
		p.Properties.MessageExpiry = &o.expiry
	}
	if m := o.props; m != nil {
		p.Properties.ContentType, p.Properties.ResponseTopic = m.ContentType, m.ResponseTopic
		p.Properties.CorrelationData = m.CorrelationData
		if m.HasFormat {
			p.Properties.PayloadFormat = &m.PayloadFormat
		}
		for _, x := range m.User {
			if x.Name != hopsProperty || o.hops == "" {
				p.Properties.User = append(p.Properties.User, packets.User{Key: x.Name, Value: x.Value})
			}
		}
	}
	if o.hops != "" {
		p.Properties.User = append(p.Properties.User, packets.User{Key: hopsProperty, Value: o.hops})
	}
	u.scratch.Reset()
	_, err := p.WriteTo(&u.scratch)
	return u.scratch.Bytes(), err
}

// write hands one encoded packet to the wire, waiting for room.
func (u *upstream) write(packet []byte) error {
	if err := u.wire.Room(); err != nil {
		return err
	}
	u.wire.Lock()
	defer u.wire.Unlock()
	_, err := u.wire.Write(packet)
	return err
}

// release sends PUBREL.
func (u *upstream) release(id uint16) error {
	_, err := (&packets.Pubrel{PacketID: id, Properties: &packets.Properties{}}).WriteTo(u.wire)
	return err
}

// close ends the connection and waits for its goroutines. With say the server
// is told the reason first.
func (u *upstream) close(reason mqtt.ReasonCode, say bool) {
	if !say {
		u.wire.fail(net.ErrClosed)
	}
	// An error means that the packet could not be sent; the connection is
	// closed in either case.
	_ = u.client.Disconnect(&paho.Disconnect{ReasonCode: byte(reason)})
}

// refuseAuth refuses enhanced authentication, which the bridge never asks for.
type refuseAuth struct{ u *upstream }

func (a refuseAuth) Authenticate(*paho.Auth) *paho.Auth {
	a.u.wire.fail(failf(ClassAuth, "server asks for enhanced authentication, which was not offered [MQTT-4.12.0-6]"))
	return &paho.Auth{Properties: &paho.AuthProperties{}}
}

func (a refuseAuth) Authenticated() {}
