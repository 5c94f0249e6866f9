package brokertest

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Broker is a running broker of one test.
type Broker struct {
	*broker.Broker
	tb   testing.TB
	mem  *listen.Memory
	stop context.CancelFunc
	done chan error

	durable bool
}

// New starts a broker on a listener in memory, changed by the functions given,
// and stops it in the test's Cleanup.
func New(tb testing.TB, change ...func(*broker.Options)) *Broker {
	tb.Helper()
	b := &Broker{tb: tb, mem: listen.NewMemory(), done: make(chan error, 1)}
	o := broker.Options{Listeners: []broker.ListenerOptions{{Name: "memory", Listener: b.mem}}}
	for _, f := range change {
		f(&o)
	}
	b.durable = o.Data != nil || o.Store != nil
	var err error
	if b.Broker, err = broker.New(o); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	go func() { b.done <- b.Run(ctx) }()
	tb.Cleanup(b.check)
	return b
}

// Stop ends the broker and waits for it.
func (b *Broker) Stop() {
	b.stop()
	if err := <-b.done; err != nil {
		b.tb.Errorf("Run: %v", err)
	}
	b.done <- nil
}

// Dial opens a network connection in memory.
func (b *Broker) Dial() net.Conn {
	b.tb.Helper()
	nc, err := b.mem.Dial()
	if err != nil {
		b.tb.Fatal(err)
	}
	return nc
}

// Client opens a connection that speaks version v; it is closed in Cleanup.
func (b *Broker) Client(v mqtt.Version) *Client {
	b.tb.Helper()
	return NewClient(b.tb, b.Dial(), v)
}

// check stops the broker and holds it to its invariants.
func (b *Broker) check() {
	for name, q := range b.Queues() {
		if q.Accepted != q.Removed+q.Dropped+uint64(q.Messages) || q.InFlight > q.Messages || q.Dropped != q.Drops.Total() || q.Bytes < 0 {
			b.tb.Errorf("accounts of queue %s: %+v", name, q)
		}
	}
	b.Stop()
	s := b.Stats()
	if s.Accepted != s.Done+s.Dropped+uint64(s.Waiting) {
		b.tb.Errorf("accounts: accepted %d, done %d + dropped %d + waiting %d", s.Accepted, s.Done, s.Dropped, s.Waiting)
	}
	if s.Connections != 0 {
		b.tb.Errorf("%d connections are left after Run", s.Connections)
	}
	if s.Panics != 0 {
		b.tb.Errorf("%d connections panicked", s.Panics)
	}
	b.checkMemory(&s.Memory, s.Sessions, s.Retained)
	if left := running(); left != nil {
		b.tb.Errorf("a goroutine is left after Run:\n%s", left)
	}
}

// checkMemory wants the account of memory to be zero where nothing is left that
// could hold any.
func (b *Broker) checkMemory(m *broker.MemoryStats, sessions, retained int) {
	var sum int64
	for _, c := range m.By {
		sum += c.Bytes
		gone := c.Name != "queues"
		switch c.Name {
		case "messages":
			gone = sessions == 0 && !b.durable // the lines of queues go on, and are not booked to the byte
		case "sessions", "subscriptions", "wills", "identifiers":
			gone = sessions == 0
		case "retained":
			gone = retained == 0
		}
		if gone && c.Bytes != 0 || c.Bytes < -int64(sessions+4)<<10 {
			b.tb.Errorf("account: %d bytes of %s are held at the end, with %d sessions and %d retained messages", c.Bytes, c.Name, sessions, retained)
		}
	}
	if sum != m.Used {
		b.tb.Errorf("account: %d bytes in all, %d by cause", m.Used, sum)
	}
}

// running returns the stack of a goroutine that still serves a connection. One
// that is about to return is given a moment.
func running() []byte {
	buf := make([]byte, 64<<10)
	for deadline := time.Now().Add(2 * time.Second); ; {
		n := runtime.Stack(buf, true)
		if n == len(buf) {
			buf = make([]byte, 2*n)
			continue
		}
		var found []byte
		for g := range bytes.SplitSeq(buf[:n], []byte("\n\n")) {
			if bytes.Contains(g, []byte("/broker/internal/conn.(*")) || bytes.Contains(g, []byte("/broker/internal/listen.Accept")) {
				found = g
			}
		}
		if found == nil || time.Now().After(deadline) {
			return found
		}
		runtime.Gosched()
	}
}
