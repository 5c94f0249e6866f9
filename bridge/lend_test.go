package bridge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// The reader must not wait for a server that does not read: all that it offers
// leaves in order, by the flusher if the socket is full.
func TestOfferDoesNotWait(t *testing.T) {
	c, peer := sockets(t)
	_ = c.Conn.(*net.TCPConn).SetWriteBuffer(8 << 10) // a larger one only makes the test weaker
	w := newWire(c, 0, func(err error) { t.Errorf("the wire failed: %v", err) })
	sent := make([]byte, 8<<20)
	for i := range sent {
		sent[i] = byte(i >> 10)
	}
	for part := range slices.Chunk(sent, 10_000) { // nobody reads
		if _, _, err := w.put(part, true); err != nil {
			t.Fatal(err)
		}
		w.offer()
	}
	if !w.choked() {
		t.Error("so much is pending, and the sender would not be told to wait")
	}
	_ = peer.SetReadDeadline(time.Now().Add(time.Minute))
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("read something else: %v", err)
	}
	if left := w.left(); left != int64(len(sent)) {
		t.Errorf("%d bytes count as left, want %d", left, len(sent))
	}
	w.close()
}

// A server may write, more than fits into sockets, before it reads on.
func TestServerThatWritesFirst(t *testing.T) {
	const window, rounds = 20, 4
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	q := &endless{n: window * rounds, size: 256 << 10, done: make(chan struct{})}
	br, err := New(Options{
		Name: "b", Servers: []string{"mqtt://" + ln.Addr().String()}, ClientID: "b", Protocol: mqtt.V311,
		Out: []Route{{From: "out/#"}}, In: []Route{{From: "in/#"}}, Queues: [LaneCount]Queue{q}, Local: &fakeLocal{},
		InFlight: window, InFlightBytes: 64 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	all.Go(func() {
		if c, err := ln.Accept(); err == nil {
			defer c.Close()
			writesFirst(c, window)
		}
	})
	all.Go(func() {
		if err := br.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	select {
	case <-q.done:
	case <-time.After(stallAfter / 2):
		t.Error("both sides wait for each other")
	}
	cancel()
	ln.Close()
	all.Wait()
}

// writesFirst is a server that answers a window of messages together, and says
// much of its own before it reads what comes next.
func writesFirst(c net.Conn, window int) {
	down := append([]byte{0x30, 0x84, 0x80, 0x20, 0, 2, 'i', 'n'}, make([]byte, 512<<10)...)
	r := bufio.NewReader(c)
	var acks []byte
	for {
		first, err := r.ReadByte()
		if err != nil {
			return
		}
		size, err := binary.ReadUvarint(r) // a Variable Byte Integer is one
		if err != nil {
			return
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		switch first >> 4 {
		case 1:
			_, err = c.Write([]byte{0x20, 2, 0, 0})
		case 8:
			_, err = c.Write([]byte{0x90, 3, body[0], body[1], 0})
		case 3:
			topic := int(binary.BigEndian.Uint16(body))
			if acks = append(acks, 0x40, 2, body[topic+2], body[topic+3]); len(acks) < 4*window {
				continue
			}
			_, err = c.Write(acks)
			for range 32 {
				if err == nil {
					_, err = c.Write(down)
				}
			}
			acks = acks[:0]
		}
		if err != nil {
			return
		}
	}
}

// An entry whose Packet Identifier is in use goes back to the sender, who waits
// until that is free, and is sent then.
func TestIdentifierInUse(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		q := &endless{n: 3, size: 1, done: make(chan struct{})}
		b, err := New(Options{Name: "b", Servers: []string{"mqtt://x"}, ClientID: "b", Out: []Route{{From: "out/#"}}, Queues: [LaneCount]Queue{q}})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		l := &link{
			b: b, win: newWindow(20, 1<<20), lent: make(chan context.Context, 1), back: make(chan error, 1), lends: true,
			lim: limits{maximumQoS: mqtt.ExactlyOnce}, up: &upstream{wire: newWire(ours, 0, func(error) {})},
		}
		second := uint64(2) << laneBits
		old := flight{seq: second, id: packetID(second), qos: mqtt.AtLeastOnce, waits: ackPuback}
		_, _ = l.win.add(old)
		l.lent <- t.Context()
		l.carry()
		n, _, _ := l.win.inFlight()
		want(t, "in flight with the old one", n, 2)
		want(t, "given back", <-l.back, nil)

		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.sendUntil(ctx) }()
		after(time.Minute)
		n, _, _ = l.win.inFlight()
		want(t, "while the identifier is in use", n, 2)
		l.win.drop([]flight{old}, true)
		after(time.Minute)
		n, _, _ = l.win.inFlight()
		want(t, "when it is free", n, 3)
		f, _ := l.win.first()
		want(t, "the oldest", f.seq, 1<<laneBits)
		cancel()
		<-ended
		l.up.wire.close()
	})
}
