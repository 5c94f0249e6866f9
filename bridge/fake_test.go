package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// plan is what the scripted server does on one connection.
type plan struct {
	silent     bool            // reads and never answers
	connack    mqtt.ReasonCode // refuse
	authMethod string          // in CONNACK
	auth       bool            // AUTH instead of CONNACK
	closes     bool            // closes right after CONNACK
	forget     bool            // loses the session before CONNACK
	receiveMax uint16
	packetMax  uint32
	maxQoS     *mqtt.QoS
	noRetain   bool
	noPing     bool
	raw        []byte            // sent after CONNACK
	hello      []byte            // sent in place of CONNACK
	props      packet.Properties // of CONNACK
	present    bool              // Session Present whatever is true
	twice      bool              // each acknowledgement twice, and one of a PUBLISH that never was
	suback     func([]packet.Filter) []mqtt.ReasonCode
	bytewise   bool          // one byte at a time
	delay      time.Duration // before each acknowledgement
	// publish decides about the n-th PUBLISH of the connection, from 1.
	publish  func(n int, p *packet.View) verdict
	pubrel   func(n int) verdict
	send     []mqtt.Message // to the bridge after SUBSCRIBE
	dup      bool           // with DUP=1
	noPubrel bool
}

// verdict is an answer: a Reason Code, or one of the actions.
type verdict struct {
	code    mqtt.ReasonCode
	ignore  bool            // take nothing, answer nothing
	kill    bool            // close before taking the packet
	after   bool            // take the packet, then close without an answer
	goodbye mqtt.ReasonCode // DISCONNECT with this code instead of an answer
}

// seen is one PUBLISH as it was on the wire.
type seen struct {
	at      time.Time
	conn    int
	topic   string
	payload string
	id      uint16
	qos     mqtt.QoS
	dup     bool
	retain  bool
	expiry  uint32
	user    map[string]string
	via     string
}

// fakeServer is a scripted MQTT server with one session, of the version that
// the bridge asks for.
type fakeServer struct {
	t     testing.TB
	plans func(conn int) plan // conn from 1
	wg    sync.WaitGroup

	mu struct {
		sync.Mutex
		conns     int
		session   bool
		received  map[uint16]bool // QoS 2 identifiers
		wire      []seen
		got       []string // payloads accepted, in order
		connects  []time.Time
		will      string
		goodbyes  []mqtt.ReasonCode // DISCONNECT from the bridge
		acks      []string          // PUBACK, PUBREC, PUBREL, PUBCOMP from the bridge
		filters   []string
		pings     int
		maxFlight int // most PUBLISH packets unanswered at a time
		open      []net.Conn
	}
}

func newServer(t testing.TB, plans func(int) plan) *fakeServer {
	s := &fakeServer{t: t, plans: plans}
	s.mu.received = map[uint16]bool{}
	return s
}

// dial is Options.Dial.
func (s *fakeServer) dial(context.Context, string) (net.Conn, error) {
	client, server := net.Pipe()
	s.mu.Lock()
	s.mu.conns++
	n := s.mu.conns
	s.mu.open = append(s.mu.open, server)
	s.mu.Unlock()
	s.wg.Go(func() {
		defer server.Close()
		c := &fakeConn{s: s, n: n, c: server, plan: s.plans(n), flight: map[uint16]bool{}, aliases: map[uint16]string{}, out: make(chan []byte, 4096)}
		var w sync.WaitGroup
		w.Go(c.write)
		c.serve()
		close(c.out)
		w.Wait()
	})
	return client, nil
}

// slowly limits what the bridge can write to a number of bytes a second.
func slowly(dial func(context.Context, string) (net.Conn, error), rate int) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, server string) (net.Conn, error) {
		c, err := dial(ctx, server)
		return &slowConn{Conn: c, rate: rate}, err
	}
}

// slowConn is a kernel with a send buffer before a slow line.
type slowConn struct {
	net.Conn
	rate int
	sent time.Time // of the last byte; writes follow one another
}

// SetWriteDeadline would reach the bytes that have left already.
func (c *slowConn) SetWriteDeadline(time.Time) error { return nil }

func (c *slowConn) Write(p []byte) (n int, err error) {
	for n < len(p) {
		piece := slices.Clone(p[n:min(len(p), n+c.rate)])
		now := time.Now()
		if c.sent.Before(now) {
			c.sent = now
		}
		c.sent = c.sent.Add(time.Second * time.Duration(len(piece)) / time.Duration(c.rate))
		time.AfterFunc(c.sent.Sub(now), func() { _, _ = c.Conn.Write(piece) })
		n += len(piece)
		buffered := time.Second * time.Duration(sendBuffer/c.rate)
		time.Sleep(c.sent.Sub(now) - buffered) // in a synctest bubble
	}
	return n, nil
}

// kill closes all connections.
func (s *fakeServer) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.mu.open {
		_ = c.Close()
	}
	s.mu.open = nil
}

type fakeConn struct {
	s        *fakeServer
	n        int
	c        net.Conn
	plan     plan
	flight   map[uint16]bool // unanswered
	pubs     int
	rels     int
	out      chan []byte // net.Pipe has no buffer
	deferred sync.WaitGroup
	version  mqtt.Version // of the CONNECT
	aliases  map[uint16]string
}

func (c *fakeConn) write() {
	for p := range c.out {
		if p == nil {
			_ = c.c.Close()
			continue
		}
		if !c.plan.bytewise {
			_, _ = c.c.Write(p)
			continue
		}
		for i := range p {
			_, _ = c.c.Write(p[i : i+1])
		}
	}
}

func (c *fakeConn) send(v *packet.View) { c.out <- packet.Append(nil, c.version, v) }

func (c *fakeConn) serve() {
	defer c.deferred.Wait()
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := packet.Frame(buf, 0)
		if err != nil {
			c.s.t.Errorf("from the bridge: %v", err)
			return
		}
		if n == 0 {
			m, err := c.c.Read(chunk)
			buf = append(buf, chunk[:m]...)
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
					c.s.t.Errorf("read: %v", err)
				}
				return
			}
			continue
		}
		var v packet.View
		if err := packet.Decode(buf[:n], c.version, &v); err != nil {
			c.s.t.Errorf("from the bridge: %v", err)
			return
		}
		if err := v.FromClient(); err != nil {
			c.s.t.Errorf("from the bridge: %v", err)
		}
		if c.plan.silent {
			buf = buf[n:]
			continue
		}
		if !c.handle(&v) {
			return
		}
		buf = buf[n:]
	}
}

func (c *fakeConn) handle(v *packet.View) bool {
	s := c.s
	switch v.Type {
	case packet.CONNECT:
		return c.connect(v)
	case packet.PUBLISH:
		return c.publish(v)
	case packet.PUBREL:
		c.rels++
		d := verdict{}
		if c.plan.pubrel != nil {
			d = c.plan.pubrel(c.rels)
		}
		if d.kill {
			return false
		}
		s.mu.Lock()
		delete(s.mu.received, v.ID)
		s.mu.Unlock()
		if d.after {
			return false
		}
		c.landed(v.ID)
		c.send(&packet.View{Type: packet.PUBCOMP, ID: v.ID})
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP:
		s.mu.Lock()
		s.mu.acks = append(s.mu.acks, fmt.Sprintf("%d %d %02x", v.Type, v.ID, byte(v.Reason)))
		s.mu.Unlock()
		if v.Type == packet.PUBREC && !c.plan.noPubrel {
			c.send(&packet.View{Type: packet.PUBREL, ID: v.ID})
		}
	case packet.SUBSCRIBE:
		c.subscribe(v)
	case packet.PINGREQ:
		s.mu.Lock()
		s.mu.pings++
		s.mu.Unlock()
		if !c.plan.noPing {
			c.send(&packet.View{Type: packet.PINGRESP})
		}
	case packet.DISCONNECT:
		s.mu.Lock()
		s.mu.goodbyes = append(s.mu.goodbyes, v.Reason)
		s.mu.Unlock()
		return false
	}
	return true
}

func (c *fakeConn) connect(v *packet.View) bool {
	s, p := c.s, c.plan
	c.version = v.Connect.Version
	if p.auth {
		c.send(&packet.View{Type: packet.AUTH, Reason: mqtt.ContinueAuthentication, Properties: packet.Properties{
			Has: packet.HasAuthMethod, AuthMethod: []byte("x"),
		}})
		return true
	}
	test := strings.HasSuffix(string(v.Connect.ClientID), "-test") // of Bridge.Test, which leaves no session
	if c.version == mqtt.V5 && v.Properties.Has&packet.HasReceiveMaximum == 0 || v.Connect.CleanStart != test {
		s.t.Errorf("CONNECT without Receive Maximum, or with Clean Start")
	}
	s.mu.Lock()
	s.mu.connects = append(s.mu.connects, time.Now())
	s.mu.will = string(v.Connect.WillTopic) + " " + string(v.Connect.WillPayload)
	if p.forget {
		s.mu.session = false
		clear(s.mu.received)
	}
	a := packet.View{Type: packet.CONNACK, Reason: p.connack, SessionPresent: s.mu.session && p.connack == 0 || p.present, Properties: p.props}
	if p.connack == 0 {
		s.mu.session = true
	}
	s.mu.Unlock()
	if p.receiveMax > 0 {
		a.Properties.Has |= packet.HasReceiveMaximum
		a.Properties.ReceiveMaximum = p.receiveMax
	}
	if p.packetMax > 0 {
		a.Properties.Has |= packet.HasMaximumPacketSize
		a.Properties.MaximumPacketSize = p.packetMax
	}
	if p.maxQoS != nil {
		a.Properties.Has |= packet.HasMaximumQoS
		a.Properties.MaximumQoS = *p.maxQoS
	}
	if p.noRetain {
		a.Properties.Has |= packet.HasRetainAvailable
	}
	if p.authMethod != "" {
		a.Properties.Has |= packet.HasAuthMethod
		a.Properties.AuthMethod = []byte(p.authMethod)
	}
	if p.hello != nil {
		c.out <- p.hello
	} else {
		c.send(&a)
	}
	if p.raw != nil {
		c.out <- p.raw
	}
	if p.closes || p.connack != 0 {
		c.out <- nil
	}
	return true
}

// alias puts the topic in that a Topic Alias stands for.
func (c *fakeConn) alias(v *packet.View) {
	n := v.Properties.TopicAlias
	switch most := c.plan.props.TopicAliasMaximum; {
	case n == 0:
		return
	case n > most:
		c.s.t.Errorf("Topic Alias %d, the server takes %d [MQTT-3.3.2-9]", n, most)
	case len(v.Publish.Topic) > 0:
		c.aliases[n] = string(v.Publish.Topic)
		return
	case c.aliases[n] == "":
		c.s.t.Errorf("Topic Alias %d stands for nothing", n)
	}
	v.Publish.Topic = []byte(c.aliases[n])
}

func (c *fakeConn) publish(v *packet.View) bool {
	s := c.s
	c.pubs++
	c.alias(v)
	d := verdict{}
	if c.plan.publish != nil {
		d = c.plan.publish(c.pubs, v)
	}
	w := seen{
		at: time.Now(), conn: c.n, topic: string(v.Publish.Topic), payload: string(v.Publish.Payload), id: v.ID,
		qos: v.Publish.QoS, dup: v.Publish.Dup, retain: v.Publish.Retain, expiry: v.Properties.MessageExpiry,
	}
	for _, u := range v.Properties.User {
		if w.user == nil {
			w.user = map[string]string{}
		}
		w.user[string(u.Name)] = string(u.Value)
		if string(u.Name) == viaProperty {
			w.via = string(u.Value)
		}
	}
	s.mu.Lock()
	s.mu.wire = append(s.mu.wire, w)
	if w.qos > 0 {
		c.flight[w.id] = true
		s.mu.maxFlight = max(s.mu.maxFlight, len(c.flight))
	}
	if n := c.plan.receiveMax; n > 0 && c.version == mqtt.V5 && len(c.flight) > int(n) {
		s.t.Errorf("%d messages in flight, the Receive Maximum is %d [MQTT-3.3.4-9]", len(c.flight), n)
	}
	taken := !d.ignore && !d.kill && d.goodbye == 0 && !d.code.Failed()
	if taken && (w.qos < 2 || !s.mu.received[w.id]) {
		s.mu.got = append(s.mu.got, w.payload)
	}
	if taken && w.qos == 2 {
		s.mu.received[w.id] = true
	}
	s.mu.Unlock()
	switch {
	case d.goodbye != 0:
		c.send(&packet.View{Type: packet.DISCONNECT, Reason: d.goodbye})
		return false // what follows is not read
	case d.kill, d.after:
		return false
	case d.ignore, w.qos == 0:
		return true
	}
	c.answer(w, d.code)
	return true
}

func (c *fakeConn) answer(w seen, code mqtt.ReasonCode) {
	a := &packet.View{Type: packet.PUBACK, ID: w.id, Reason: code}
	if w.qos == 2 {
		a.Type = packet.PUBREC
	}
	done := func() {
		if w.qos == 1 || code.Failed() {
			c.landed(w.id)
		}
		c.send(a)
		if c.plan.twice {
			c.send(a)
			c.send(&packet.View{Type: packet.PUBCOMP, ID: 60001})
			c.send(&packet.View{Type: packet.PUBACK, ID: 60002, Reason: 0x87})
		}
	}
	if c.plan.delay == 0 {
		done()
		return
	}
	c.deferred.Go(func() {
		time.Sleep(c.plan.delay) // in a synctest bubble
		done()
	})
}

func (c *fakeConn) landed(id uint16) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	delete(c.flight, id)
}

func (c *fakeConn) subscribe(v *packet.View) {
	a := &packet.View{Type: packet.SUBACK, ID: v.ID}
	c.s.mu.Lock()
	for _, f := range v.Filters {
		if c.version == mqtt.V5 && (!f.NoLocal || !f.RetainAsPublished) {
			c.s.t.Errorf("subscription %q without No Local or Retain As Published", f.Filter)
		}
		c.s.mu.filters = append(c.s.mu.filters, string(f.Filter))
		a.Reasons = append(a.Reasons, mqtt.ReasonCode(f.QoS))
	}
	c.s.mu.Unlock()
	if c.plan.suback != nil {
		a.Reasons = c.plan.suback(v.Filters)
	}
	c.send(a)
	for i, m := range c.plan.send {
		p := &packet.View{Type: packet.PUBLISH, Publish: packet.Publish{
			Topic: []byte(m.Topic), Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Dup: c.plan.dup,
		}}
		if m.QoS > 0 {
			p.ID = uint16(i + 1)
		}
		if !m.Expires.IsZero() {
			p.Properties.Has |= packet.HasMessageExpiry
			p.Properties.MessageExpiry = uint32(time.Until(m.Expires) / time.Second)
		}
		if n, ok := m.Properties.Get(viaProperty); ok {
			p.Properties.Has |= packet.HasUser
			p.Properties.User = []packet.UserProperty{{Name: []byte(viaProperty), Value: []byte(n)}}
		}
		c.send(p)
	}
}

func (s *fakeServer) payloads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mu.got)
}

func (s *fakeServer) pinged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.pings
}

func (s *fakeServer) publishes() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mu.wire)
}

func (s *fakeServer) connections() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mu.connects)
}
