//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// attacker is one Network Connection that may send anything. It reads only
// when it is asked to.
type attacker struct {
	t       *testing.T
	nc      net.Conn
	v       mqtt.Version
	buf     []byte
	patient time.Duration
}

func newAttacker(t *testing.T, nc net.Conn, v mqtt.Version) *attacker {
	return &attacker{t: t, nc: nc, v: v, patient: 5 * time.Second}
}

// send writes a packet in the words of wire scripts.
func (a *attacker) send(line string) {
	a.t.Helper()
	a.write(a.encode(line))
}

func (a *attacker) encode(line string) []byte {
	a.t.Helper()
	v, err := brokertest.Parse(line)
	if err != nil {
		a.t.Errorf("%s: %v", line, err)
		return nil
	}
	v.Connect.Version = a.v
	return packet.Append(nil, a.v, v)
}

// write sends bytes. A server that closes meanwhile is what most attacks are
// about.
func (a *attacker) write(b ...[]byte) {
	a.nc.SetWriteDeadline(time.Now().Add(a.patient))
	a.nc.Write(slices.Concat(b...))
}

// receive returns the next packet in words, "closed" at the end of the
// connection, "silence" when nothing comes.
func (a *attacker) receive() string {
	a.nc.SetReadDeadline(time.Now().Add(a.patient))
	chunk := make([]byte, 4096)
	for {
		if n, err := packet.Frame(a.buf, 0); err != nil {
			return err.Error()
		} else if n > 0 {
			var v packet.View
			if err := packet.Decode(a.buf[:n], a.v, &v); err != nil {
				return "malformed: " + err.Error()
			}
			words := brokertest.Render(&v)
			a.buf = a.buf[n:]
			return words
		}
		n, err := a.nc.Read(chunk)
		a.buf = append(a.buf, chunk[:n]...)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return "silence"
		} else if n == 0 && err != nil {
			return "closed"
		}
	}
}

// expect receives a packet and compares it with one in words.
func (a *attacker) expect(line string) {
	a.t.Helper()
	got := a.receive()
	if got == line {
		return
	}
	if err := brokertest.Compare(line, got); err != nil {
		a.t.Fatalf("%v (got %s)", err, got)
	}
}

// connect is a CONNECT that is accepted.
func (a *attacker) connect(words string) {
	a.t.Helper()
	a.send("CONNECT " + words)
	a.expect("CONNACK rc=0x00 ...")
}

// until receives until a packet starts so; it returns what came before.
func (a *attacker) until(start string) (before []string) {
	a.t.Helper()
	for {
		got := a.receive()
		if strings.HasPrefix(got, start) {
			return before
		}
		if got == "closed" || got == "silence" {
			a.t.Fatalf("%s instead of %s; before it %q", got, start, before[max(0, len(before)-5):])
		}
		before = append(before, got)
	}
}

// last reads to the end of the connection and returns the last packet in it,
// "closed" if there was none, "silence" if it stays open.
func (a *attacker) last() string {
	for last := "closed"; ; {
		switch got := a.receive(); got {
		case "closed":
			return last
		case "silence":
			return got
		default:
			last = got
		}
	}
}

// closedWith reads to the end and wants the last packet to be this one. For
// versions without words for it a bare end will do.
func (a *attacker) closedWith(codes ...mqtt.ReasonCode) {
	a.t.Helper()
	last := a.last()
	if a.v != mqtt.V5 && last == "closed" {
		return
	}
	if !slices.ContainsFunc(codes, func(c mqtt.ReasonCode) bool { return hasCode(last, c) }) {
		a.t.Errorf("%s ended with %q, want a code of %x", a.v, last, codes)
	}
}

// hasCode reports whether a CONNACK or DISCONNECT in words has this code.
func hasCode(words string, code mqtt.ReasonCode) bool {
	return strings.Contains(words, " rc=0x"+string("0123456789abcdef"[code>>4])+string("0123456789abcdef"[code&15]))
}

// gone fails unless the server has closed the connection.
func (a *attacker) gone() {
	a.t.Helper()
	if got := a.last(); got == "silence" {
		a.t.Error("the connection stays open")
	}
}

// alive fails unless the connection answers.
func (a *attacker) alive() {
	a.t.Helper()
	a.send("PINGREQ")
	a.until("PINGRESP")
}

// frame is a packet of its first byte and its parts, with the right Remaining
// Length.
func frame(first byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	return slices.Concat([]byte{first}, varint(len(body)), body)
}

// varint is a Variable Byte Integer.
func varint(n int) []byte {
	var b []byte
	for {
		digit := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(b, digit)
		}
		b = append(b, digit|0x80)
	}
}

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func u32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// field is a string or binary with its length before it.
func field(s string) []byte { return append(u16(len(s)), s...) }

// props are properties with their length before them.
func props(p ...[]byte) []byte {
	all := slices.Concat(p...)
	return append(varint(len(all)), all...)
}

// rawConnect is a CONNECT of 5.0 with these flags, properties and payload.
func rawConnect(flags byte, properties []byte, payload ...[]byte) []byte {
	return frame(0x10, field("MQTT"), []byte{5, flags, 0, 60}, properties, slices.Concat(payload...))
}
