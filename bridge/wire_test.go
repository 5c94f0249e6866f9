package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Whatever the server sends, the wire hands on whole packets as broker/packet
// frames them, and nothing of one that is too large.
func FuzzWireRead(f *testing.F) {
	f.Add([]byte{0x20, 3, 0, 0, 0, 0xD0, 0})
	f.Add([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2})
	f.Add([]byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F})
	f.Add([]byte{0x30, 0x80, 0x01})
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 64
		var whole []byte
		for rest := in; ; {
			n, err := packet.Frame(rest, limit)
			if err != nil || n == 0 {
				break
			}
			whole, rest = append(whole, rest[:n]...), rest[n:]
		}
		client, server := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = server.Write(in)
			_ = server.Close()
		})
		w := newWire(client, limit, func(error) {})
		var got []byte
		var err error
		for err == nil {
			var p []byte
			p, err = w.next()
			got = append(got, p...)
		}
		_ = client.Close() // the writer may wait for a reader
		w.close()
		wg.Wait()
		if !bytes.Equal(got, whole) {
			t.Fatalf("read %x, want %x", got, whole)
		}
		var f *failure
		if !errors.Is(err, io.EOF) && (!errors.As(err, &f) || f.class != ClassProtocol) {
			t.Fatalf("ended with %v", err)
		}
	})
}

// Before 5.0 a PUBLISH above what we take loses its payload, and nothing behind
// it is touched, however the bytes come.
func TestWireShortens(t *testing.T) {
	long := strings.Repeat("t/", 300)
	var stream []byte
	var expected []string
	add := func(topic string, payload int, qos mqtt.QoS) {
		v := &packet.View{Type: packet.PUBLISH, Publish: packet.Publish{Topic: []byte(topic), Payload: make([]byte, payload), QoS: qos}}
		if qos > 0 {
			v.ID = uint16(len(expected) + 1)
		}
		p := packet.Append(nil, mqtt.V311, v)
		stream = append(stream, p...)
		if len(p) > 1000 {
			payload = 0
		}
		expected = append(expected, fmt.Sprint(topic, payload, qos, v.ID, len(p) > 1000))
	}
	for _, size := range []int{0, 900, 990, 1000, 70_000, 10} {
		for qos := range mqtt.QoS(3) {
			add("a", size, qos)
			add(long, size, qos)
		}
	}
	for _, chunk := range []int{100, 999, len(stream)} {
		near, far := net.Pipe()
		w := newWire(near, 1000, func(error) {})
		w.shorten = true
		go func() {
			for part := range slices.Chunk(stream, chunk) {
				_, _ = far.Write(part)
			}
			_ = far.Close()
		}()
		var got []string
		for {
			p, err := w.next()
			if err != nil {
				break // all was read
			}
			var v packet.View
			if err := packet.Decode(p, mqtt.V311, &v); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(string(v.Publish.Topic), len(v.Publish.Payload), v.Publish.QoS, v.ID, w.cut))
		}
		w.fail(net.ErrClosed)
		w.close()
		if !slices.Equal(got, expected) {
			t.Errorf("in pieces of %d: %d packets, want %d", chunk, len(got), len(expected))
		}
		if cap(w.in) > 128<<10 {
			t.Errorf("the buffer has %d bytes", cap(w.in))
		}
	}
	for _, bad := range []string{"\x32\xff\xff\x03\xff\xff", "\x30\xff\xff\xff\xff\x01", "\x32\xff\xff\x7f\x00\x01"} {
		near, far := net.Pipe()
		w := newWire(near, 1000, func(error) {})
		w.shorten = true
		go func() { _, _ = far.Write([]byte(bad)); _ = far.Close() }()
		if _, err := w.next(); err == nil {
			t.Errorf("%x is a packet", bad)
		}
		w.fail(net.ErrClosed)
		w.close()
	}
}
