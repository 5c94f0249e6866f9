package bridge

import (
	"encoding/binary"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// next blocks for the next whole packet; its bytes are valid until the next
// call. A packet above the announced Maximum Packet Size fails by its header,
// or is shortened.
func (w *wire) next() ([]byte, error) {
	w.cut = false
	for {
		n, err := packet.Frame(w.in[w.start:], w.maxSize)
		if err != nil {
			if w.shorten && packet.Type(w.in[w.start]>>4) == packet.PUBLISH {
				return w.behead(err)
			}
			return nil, failf(ClassProtocol, "packet from the server: %w", err)
		}
		if n > 0 {
			p := w.in[w.start : w.start+n]
			w.start += n
			return p, nil
		}
		if err := w.fill(); err != nil {
			return nil, err
		}
	}
}

// whole reports whether next has a packet, or an error, without waiting.
func (w *wire) whole() bool {
	n, err := packet.Frame(w.in[w.start:], w.maxSize)
	return n > 0 || err != nil && !w.shorten // one that is cut may have to be waited for
}

// behead reads a PUBLISH that is too large, and returns it without its payload.
// Before 5.0 no server can be told how large a packet may be: a connection that
// ended over one would end over it again and again.
func (w *wire) behead(large error) ([]byte, error) {
	remaining, size := binary.Uvarint(w.in[w.start+1:])
	body := 1 + size
	head := body + 2
	for named := false; size <= 4 && uint64(head-body) <= remaining; {
		switch b := w.in[w.start:]; {
		case len(b) < head:
			if err := w.fill(); err != nil {
				return nil, err
			}
		case !named:
			named = true
			head += int(binary.BigEndian.Uint16(b[body:])) // the Topic Name
			if b[0]&6 != 0 {
				head += 2 // the Packet Identifier
			}
		default:
			w.cut = true
			p := append(binary.AppendUvarint(b[:1:1], uint64(head-body)), b[body:head]...)
			return p, w.skip(body + int(remaining))
		}
	}
	return nil, failf(ClassProtocol, "packet from the server: %w", large)
}

// skip reads n bytes for nobody.
func (w *wire) skip(n int) error {
	for {
		have := min(n, len(w.in)-w.start)
		w.start += have
		if n -= have; n == 0 {
			return nil
		}
		if err := w.fill(); err != nil {
			return err
		}
	}
}

// speaks waits for the first bytes and fails when they begin no answer to
// CONNECT: another protocol's greeting may look like a packet that never ends.
func (w *wire) speaks() error {
	if err := w.fill(); err != nil {
		return err
	}
	switch packet.Type(w.in[0] >> 4) {
	case packet.CONNACK, packet.AUTH, packet.DISCONNECT:
		return nil
	}
	return failf(ClassProtocol, "the server does not speak MQTT here: its answer begins with %q", w.in[:min(len(w.in), 16)])
}

// fill reads once.
func (w *wire) fill() error {
	rest := w.in[w.start:]
	switch {
	case len(rest) == 0 && cap(w.in) > wireKeep:
		w.in = nil
	case w.start > 0:
		w.in = w.in[:copy(w.in, rest)]
	case len(rest) == cap(w.in):
		w.in = append(make([]byte, 0, max(wireRead, 2*cap(w.in))), rest...)
	}
	w.start = 0
	if cap(w.in) == 0 {
		w.in = make([]byte, 0, wireRead)
	}
	w.waiting.Store(true)
	n, err := w.conn.Read(w.in[len(w.in):cap(w.in)])
	w.waiting.Store(false)
	w.in = w.in[:len(w.in)+n]
	if n == 0 {
		return err
	}
	w.heard = time.Now()
	w.lastRead.Store(w.heard.UnixNano())
	w.mu.Lock()
	w.mu.heard = w.mu.written
	w.mu.Unlock()
	return nil
}
