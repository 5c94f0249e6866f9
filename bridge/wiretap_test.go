package bridge_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// transfer is what crossed the wire of one Packet Identifier.
type transfer struct {
	payload string
	qos     mqtt.QoS
	sent    int      // PUBLISH packets
	acked   int      // PUBACK or PUBCOMP
	rec     int      // PUBREC
	rel     []string // servers that were sent PUBREL
	// lost says that a server gave up the session, after PUBREC: the message is
	// the server's, and nobody waits for PUBCOMP [MQTT-4.3.3-2].
	lost bool
}

// complete reports whether the server has taken the message over.
func (f *transfer) complete() bool { return f.acked > 0 || f.lost && f.rec > 0 }

// wiretap stands between a bridge and its servers and notes what both say. It goes
// by the Packet Identifier, which a bridge does not use again for 65,000
// messages.
type wiretap struct {
	t       testing.TB
	version mqtt.Version
	conns   sync.WaitGroup

	mu        sync.Mutex
	transfers map[uint16]*transfer
	open      map[net.Conn]bool // nil: ended
	fresh     int               // CONNACK packets without a session
	resumed   int               // and with one
}

func newWiretap(t testing.TB, version mqtt.Version) *wiretap {
	p := &wiretap{t: t, version: version, transfers: map[uint16]*transfer{}, open: map[net.Conn]bool{}}
	t.Cleanup(p.close)
	return p
}

// before returns the address that leads to the server at addr.
func (p *wiretap) before(addr string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.conns.Go(func() { p.join(c, addr) })
		}
	})
	p.t.Cleanup(func() { _ = ln.Close() }) // before close, which waits
	return ln.Addr().String()
}

func (p *wiretap) join(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	if p.open == nil {
		p.mu.Unlock()
		return
	}
	p.open[client], p.open[server] = true, true
	p.mu.Unlock()
	var down sync.WaitGroup
	down.Go(func() { p.copy(client, server, addr); _ = client.Close() })
	p.copy(server, client, addr)
	_ = server.Close()
	down.Wait()
}

// copy passes packets on, to or from a server, and notes each before it leaves.
func (p *wiretap) copy(to, from net.Conn, server string) {
	var buf []byte
	chunk := make([]byte, 64<<10)
	for {
		m, err := from.Read(chunk)
		if err != nil {
			return
		}
		for buf = append(buf, chunk[:m]...); ; {
			n, err := packet.Frame(buf, 0)
			if err != nil {
				p.t.Errorf("on the wire: %v", err)
				return
			}
			if n == 0 {
				break
			}
			var v packet.View
			if err := packet.Decode(buf[:n], p.version, &v); err != nil {
				p.t.Errorf("on the wire: %v", err)
				return
			}
			p.note(&v, server)
			buf = buf[n:]
		}
		if _, err := to.Write(chunk[:m]); err != nil {
			_, _ = io.Copy(io.Discard, from) // what was said is noted no more: it did not arrive
			return
		}
	}
}

func (p *wiretap) note(v *packet.View, server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.transfers[v.ID]
	switch v.Type {
	case packet.CONNACK:
		if v.SessionPresent {
			p.resumed++
			return
		}
		p.fresh++
		for _, f := range p.transfers {
			f.lost = f.lost || f.rec > 0 && f.acked == 0
		}
	case packet.PUBLISH:
		if v.Publish.QoS == 0 {
			return
		}
		if f == nil {
			f = &transfer{payload: string(v.Publish.Payload), qos: v.Publish.QoS}
			p.transfers[v.ID] = f
		}
		if f.payload != string(v.Publish.Payload) {
			p.t.Errorf("identifier %d is used for %q and %q", v.ID, f.payload, v.Publish.Payload)
		}
		f.sent++
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		switch {
		case f == nil:
			p.t.Errorf("packet type %d for the identifier %d, which nobody used", v.Type, v.ID)
		case v.Type == packet.PUBREC:
			f.rec++
		case v.Type == packet.PUBREL:
			f.rel = append(f.rel, server)
		case (v.Type == packet.PUBCOMP) != (f.qos == 2):
			p.t.Errorf("packet type %d for a message of QoS %d", v.Type, f.qos)
		default:
			f.acked++
		}
	}
}

// of returns what crossed the wire of the message with that payload.
func (p *wiretap) of(payload string) transfer {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.transfers {
		if f.payload == payload {
			return *f
		}
	}
	return transfer{}
}

func (p *wiretap) close() {
	p.mu.Lock()
	for c := range p.open {
		_ = c.Close()
	}
	p.open = nil
	p.mu.Unlock()
	p.conns.Wait()
}
