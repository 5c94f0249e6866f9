package cloudtest

import (
	"net"
	"slices"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// conn is one connection of a client.
type conn struct {
	c       *Cloud
	nc      net.Conn
	number  int
	version mqtt.Version
	session *session // nil before CONNACK
	quota   int      // the client's Receive Maximum
	bridge  bool     // it has set the bridge bit
	flight  map[uint16]int
	rate    limiter
	swapped *packet.View // waits to be overtaken
	dead    bool         // it swallows everything
	since   time.Time    // of CONNACK

	mu struct {
		sync.Mutex
		pending [][]byte
		ended   bool
	}
	wake chan struct{} // one slot
}

func newConn(c *Cloud, nc net.Conn, number int) *conn {
	return &conn{c: c, nc: nc, number: number, flight: map[uint16]int{}, wake: make(chan struct{}, 1), rate: limiter{limits: &c.limits}}
}

// serve reads until the connection ends.
func (n *conn) serve() {
	var writer sync.WaitGroup
	writer.Go(n.write)
	n.read()
	n.mu.Lock()
	n.mu.ended = true
	n.mu.Unlock()
	n.signal()
	writer.Wait()
	_ = n.nc.Close()
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if s := n.session; s != nil && s.conn == n {
		s.conn = nil
		n.c.publishWill(s)
	}
}

func (n *conn) read() {
	if n.c.faults().Refuse {
		return
	}
	var buf []byte
	chunk := make([]byte, 16<<10)
	for {
		size, err := packet.Frame(buf, 0)
		if err != nil {
			n.c.violate("malformed: %v", err)
			return
		}
		if size == 0 {
			m, err := n.nc.Read(chunk)
			buf = append(buf, chunk[:m]...)
			if err != nil {
				return
			}
			continue
		}
		var v packet.View
		if err := packet.Decode(buf[:size], n.version, &v); err != nil {
			n.c.violate("malformed: %v", err)
			return
		}
		if err := v.FromClient(); err != nil {
			n.c.violate("%v", err)
			return
		}
		if !n.handle(&v, size) {
			return
		}
		buf = buf[size:]
	}
}

// write sends what is pending; a nil packet closes.
func (n *conn) write() {
	for {
		n.mu.Lock()
		out, ended := n.mu.pending, n.mu.ended
		n.mu.pending = nil
		n.mu.Unlock()
		for _, p := range out {
			if p == nil {
				_ = n.nc.Close()
				break
			}
			_ = n.nc.SetWriteDeadline(time.Now().Add(time.Minute))
			if _, err := n.nc.Write(p); err != nil {
				_ = n.nc.Close()
				break
			}
		}
		if ended && len(out) == 0 {
			return
		}
		if len(out) == 0 {
			<-n.wake
		}
	}
}

func (n *conn) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *conn) send(v *packet.View) { n.raw(packet.Append(nil, n.version, v)) }

func (n *conn) raw(p []byte) {
	n.mu.Lock()
	n.mu.pending = append(n.mu.pending, p)
	n.mu.Unlock()
	n.signal()
}

// hangUp closes after what is pending has left.
func (n *conn) hangUp() { n.raw(nil) }

// goodbye ends the connection as the version can: 3.x just closes. It returns
// false, for handle.
func (n *conn) goodbye(code mqtt.ReasonCode) bool {
	if n.version == mqtt.V5 {
		v := &packet.View{Type: packet.DISCONNECT, Reason: code}
		if ref := n.c.faults().Reference; ref != "" {
			v.Properties.Has, v.Properties.ServerReference = packet.HasServerReference, []byte(ref)
		}
		n.send(v)
	}
	return false
}

// handle works off one packet; false ends the connection.
func (n *conn) handle(v *packet.View, size int) bool {
	f := n.c.faults()
	// TCP does not leave out bytes: a connection that has swallowed some stays
	// dead.
	if n.dead = n.dead || f.BlackHole || f.HalfOpen && n.session != nil; n.dead {
		return true
	}
	if n.session == nil && v.Type != packet.CONNECT {
		n.c.violate("packet type %d before CONNECT was accepted", v.Type)
		return false
	}
	switch v.Type {
	case packet.CONNECT:
		return n.connect(v, f)
	case packet.PUBLISH:
		return n.publish(v, size, f)
	case packet.PUBREL:
		return n.release(v.ID, f)
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP:
		return n.acknowledged(v)
	case packet.SUBSCRIBE:
		return n.subscribe(v)
	case packet.UNSUBSCRIBE:
		n.c.mu.Lock()
		for _, f := range v.Filters {
			n.session.filters = slices.DeleteFunc(n.session.filters, func(s mqtt.Subscription) bool { return s.Filter == string(f.Filter) })
		}
		n.c.mu.Unlock()
		n.send(&packet.View{Type: packet.UNSUBACK, ID: v.ID, Reasons: make([]mqtt.ReasonCode, len(v.Filters))})
	case packet.PINGREQ:
		if !f.NoPing {
			n.send(&packet.View{Type: packet.PINGRESP})
		}
	case packet.DISCONNECT:
		if v.Reason != mqtt.DisconnectWithWill {
			n.c.mu.Lock()
			if n.session != nil {
				n.session.will = nil
			}
			n.c.mu.Unlock()
		}
		return false
	}
	return true
}

// acknowledge sends an acknowledgement, late, swapped or not at all.
func (n *conn) acknowledge(v *packet.View, f Faults) {
	switch {
	case f.DropAcks:
	case f.AckDelay > 0:
		time.AfterFunc(f.AckDelay, func() { n.landed(v); n.send(v) })
	case f.SwapAcks && n.swapped == nil:
		n.swapped = v
	case n.swapped != nil:
		n.landed(v)
		n.send(v)
		n.landed(n.swapped)
		n.send(n.swapped)
		n.swapped = nil
	default:
		n.landed(v)
		n.send(v)
	}
}

// landed frees the place of a PUBLISH in the send quota.
func (n *conn) landed(v *packet.View) {
	if v.Type == packet.PUBREC && !v.Reason.Failed() {
		return
	}
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	delete(n.flight, v.ID)
}
