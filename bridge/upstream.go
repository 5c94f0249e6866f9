package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// limits are what a CONNACK allows and says about the session.
type limits struct {
	sessionPresent bool
	receiveMaximum int
	maximumQoS     mqtt.QoS
	retain         bool
	wildcard       bool   // subscriptions may hold + and #
	identifiers    bool   // they may have a Subscription Identifier
	packetSize     uint32 // bytes; 0: no limit
	keepAlive      time.Duration
	aliases        int // Topic Alias Maximum
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
	plain   bool // RETAIN was taken off: there may be no room for it
	dup     bool
	id      uint16
	expiry  uint32 // s, of hasExp
	hasExp  bool
	add     []mqtt.UserProperty // of the bridge; they replace those of the same name
	told    int                 // how many of add, at its beginning, only tell about the message
	batch   *route              // joins it with others: payload is its part of the batch
	more    []uint64            // entries that a batch holds besides its first
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
	subs    []uint32 // Subscription Identifiers of what it matched
	rel     bool     // no message but PUBREL of id
	cut     bool     // it was too large, and has no payload any more
}

// callbacks are what a connection tells the bridge. connected is called once,
// before all others. received and released are called by one goroutine, in
// order, and may block; acknowledged and, after some of them, settle are called
// by the reader, which waits for the latter.
type callbacks struct {
	connected    func(limits)
	acknowledged func(k ackKind, id uint16, code mqtt.ReasonCode, at time.Time)
	settle       func() error
	settled      func() // settle is done, and nothing to read is here
	received     func(inbound) (code mqtt.ReasonCode, err error)
	released     func(id uint16) (mqtt.ReasonCode, error) // PUBREL; as received
}

// upstream is one MQTT connection to the server, of any version: a reader, a
// deliverer for what comes down, a pinger, and the wire's flusher. It holds no
// session; that is in the Queue and behind the callbacks.
type upstream struct {
	version mqtt.Version
	wire    *wire
	cb      callbacks
	lim     limits
	down    chan error // the first failure, buffered
	noNack  bool       // the server closes over an acknowledgement with a failure

	stop       context.CancelFunc // ends the pinger
	deliveries chan inbound       // from the reader to the deliverer
	subacks    chan []mqtt.ReasonCode
	workers    sync.WaitGroup

	// The sender's own, reused from packet to packet.
	scratch []byte
	props   mqtt.Properties
	aliases aliases
	hasty   bool // write must not wait for the server
}

// receiveMaximum is how many QoS 1 and 2 messages the server may send before
// they are acknowledged.
const receiveMaximum = 20

// connectUpstream sends CONNECT on c and waits for CONNACK, at most 10 s. It
// owns c from now on, also when it fails.
func connectUpstream(ctx context.Context, c net.Conn, o *Options, in login, cb callbacks) (*upstream, error) {
	u := &upstream{
		version: o.Protocol, cb: cb, down: make(chan error, 1),
		deliveries: make(chan inbound, receiveMaximum), subacks: make(chan []mqtt.ReasonCode, 1),
	}
	u.wire = newWire(c, o.PacketSize, u.report)
	u.wire.shorten = o.Protocol != mqtt.V5
	if err := u.handshake(ctx, connectPacket(o, in)); err != nil {
		u.wire.fail(err)
		u.wire.close()
		return nil, err
	}
	u.lim.sessionPresent = u.lim.sessionPresent && in.will == nil
	o.Profile.restrict(&u.lim)
	u.noNack = o.Profile.NoNack
	if u.lim.keepAlive == 0 || u.lim.keepAlive > o.KeepAlive {
		u.lim.keepAlive = o.KeepAlive // a server that waits longer, or for ever, does not make us deaf
	}
	cb.connected(u.lim)
	pctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	u.stop = cancel
	u.workers.Go(u.deliver)
	u.workers.Go(u.read)
	u.workers.Go(func() { u.ping(pctx) })
	return u, nil
}

// handshake exchanges CONNECT and CONNACK.
func (u *upstream) handshake(ctx context.Context, connect *packet.View) error {
	hctx, cancel := context.WithTimeout(ctx, connackTimeout)
	defer cancel()
	unblock := context.AfterFunc(hctx, func() { _ = u.wire.conn.SetReadDeadline(time.Unix(1, 0)) })
	if err := u.send(connect); err != nil {
		return err
	}
	var v packet.View
	err := u.wire.speaks()
	if err == nil {
		err = u.next(&v)
	}
	switch {
	case !unblock() && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failf(ClassTimeout, "no CONNACK within %v", connackTimeout)
	case err != nil:
		return fmt.Errorf("%w: %w", errNoConnack, err)
	case v.Type == packet.AUTH:
		return unasked()
	case v.Type != packet.CONNACK:
		return failf(ClassProtocol, "the server answered CONNECT with packet type %d [MQTT-3.2.0-1]", v.Type)
	case v.Reason.Failed():
		return refusal("CONNACK", &v)
	}
	u.lim = allowed(u.version, &v)
	u.aliases.most = min(u.lim.aliases, aliasMost)
	return nil
}

// errNoConnack is a connection that ended in place of an answer to CONNECT.
var errNoConnack = errors.New("wait for CONNACK")

// unasked is the answer to AUTH.
func unasked() *failure {
	return failf(ClassAuth, "server asks for enhanced authentication, which was not offered [MQTT-4.12.0-6]")
}

// allowed reads a CONNACK. 3.1 does not tell whether there is a session; the
// transfers are resumed as if there were one, which a server without it takes
// for new ones.
func allowed(version mqtt.Version, v *packet.View) limits {
	l := limits{
		sessionPresent: v.SessionPresent || version == mqtt.V31,
		receiveMaximum: 65535, maximumQoS: mqtt.ExactlyOnce, retain: true, wildcard: true,
	}
	p := &v.Properties
	if p.Has&packet.HasReceiveMaximum != 0 {
		l.receiveMaximum = int(p.ReceiveMaximum)
	}
	if p.Has&packet.HasMaximumQoS != 0 {
		l.maximumQoS = p.MaximumQoS
	}
	if p.Has&packet.HasServerKeepAlive != 0 {
		l.keepAlive = time.Duration(p.ServerKeepAlive) * time.Second // 0: it does not watch
	}
	l.retain = p.Has&packet.HasRetainAvailable == 0 || p.RetainAvailable != 0
	l.wildcard = p.Has&packet.HasWildcardAvailable == 0 || p.WildcardAvailable != 0
	l.identifiers = version == mqtt.V5 && (p.Has&packet.HasSubIDAvailable == 0 || p.SubIDAvailable != 0)
	l.packetSize = min(p.MaximumPacketSize, packet.MaxSize) // an int may have 32 bits
	l.aliases = int(p.TopicAliasMaximum)
	return l
}

func connectPacket(o *Options, in login) *packet.View {
	v := &packet.View{Type: packet.CONNECT, Connect: packet.Connect{
		Version: o.Protocol, Bridge: in.bridge, ClientID: []byte(o.ClientID), KeepAlive: uint16(o.KeepAlive / time.Second),
		HasUsername: in.username != "", Username: []byte(in.username),
		HasPassword: in.password != "", Password: []byte(in.password),
	}}
	v.Properties = packet.Properties{
		Has:               packet.HasSessionExpiry | packet.HasReceiveMaximum | packet.HasMaximumPacketSize,
		SessionExpiry:     uint32(min(o.SessionExpiry/time.Second, 0xFFFFFFFE)),
		ReceiveMaximum:    receiveMaximum,
		MaximumPacketSize: o.PacketSize,
	}
	switch c := &v.Connect; {
	case in.will != nil: // a node of Sparkplug begins anew with each connection
		c.HasWill, c.WillQoS, c.WillTopic, c.WillPayload = true, in.will.QoS, []byte(in.will.Topic), in.will.Payload
		c.CleanStart, v.Properties.SessionExpiry = true, 0
	case o.StatusTopic != "":
		c.HasWill, c.WillTopic, c.WillPayload = true, []byte(o.StatusTopic), []byte(statusOffline)
		if !in.plainWill {
			c.WillQoS, c.WillRetain = mqtt.AtLeastOnce, !o.Profile.StripRetain
		}
	}
	v.Connect.CleanStart = v.Connect.CleanStart || in.clean
	return v
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

// close ends the connection and waits for its goroutines. With say the server
// is told the reason first. Before 5.0 there is no reason to tell: the will,
// if it is wanted, is what closing without a word leaves behind.
func (u *upstream) close(reason mqtt.ReasonCode, say bool) {
	switch {
	case !say:
		u.wire.fail(net.ErrClosed)
	case u.version == mqtt.V5 || reason == mqtt.NormalDisconnection:
		// An error means that the packet could not be sent; the connection is
		// closed in either case.
		_ = u.send(&packet.View{Type: packet.DISCONNECT, Reason: reason})
	}
	u.stop()
	u.wire.close()
	u.workers.Wait()
}
