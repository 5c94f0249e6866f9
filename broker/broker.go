package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/internal/router"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Broker is an MQTT server. Its methods may be called from any goroutine.
type Broker struct {
	opts     Options
	log      *slog.Logger
	hub      *hub
	counters *conn.Counters

	serving struct {
		sync.Mutex
		conns      map[*conn.Conn]*listener
		most       int // of them
		gates      []*gate
		open       func(*gate) // begins to accept; nil while Run does not
		preConnect preConnect
		closed     bool
	}
	durable *store.Durable // nil: state is in memory only
	dir     *disk.Dir      // of durable
	loops   *conn.Loops
	trim    trim
	wg      sync.WaitGroup // connections
}

// New makes a broker. It opens nothing; Attach and AttachQueue work at once,
// network clients are served by Run.
func New(o Options) (*Broker, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &o.Limits
	if err := o.check(); err != nil {
		return nil, err
	}
	b := &Broker{opts: o, log: o.Log}
	m := memory.New(o.MemoryBudget)
	var state *store.State
	if o.Store == nil && o.Data != nil {
		var err error
		if b.durable, b.dir, state, err = o.Data.open(o.Log, m, b.isLocal, func() { b.hub.clockSet() }); err != nil {
			return nil, err
		}
		o.Store = b.durable
	}
	if o.Store == nil {
		o.Store = new(store.Memory)
	}
	r := router.New(o.Store, router.Limits{Each: o.OverlapEach, RetainedMessages: l.RetainedMessages, RetainedBytes: l.RetainedSize, Memory: m})
	b.hub = newHub(&b.opts, r, m)
	b.hub.durable = b.durable
	b.counters = new(conn.Counters)
	b.serving.most = l.Connections
	b.exchange(&b.opts)
	if state != nil {
		b.hub.restore(state, b.widest(), time.Now(), b.door)
	}
	b.loops = conn.NewLoops(b.forget)
	b.serving.conns = make(map[*conn.Conn]*listener)
	b.serving.preConnect.begun = handshakesFor(o.MemoryBudget)
	return b, nil
}

// Run serves the listeners until ctx ends. Then it closes them, ends every
// connection (5.0 clients get DISCONNECT 0x8B), publishes the wills, detaches
// in-process clients, waits for everything it started, and returns nil. It can
// be called once. It ends by itself, with an error, only if the disk fails and
// Data.StopOnFailure is set.
func (b *Broker) Run(ctx context.Context) error {
	ctx, fail := context.WithCancel(ctx)
	defer fail()
	keep := b.keep(ctx, fail)
	b.hub.publishInherited() // before anybody can connect
	for _, name := range b.hub.orphans() {
		b.log.Warn("the store keeps a queue that nobody uses: a bridge of its name would send what is in it", "queue", name)
	}
	var accepting sync.WaitGroup
	b.accept(ctx, &accepting)
	if b.opts.MemoryBudget > 0 {
		accepting.Go(func() { b.relieve(ctx) })
	}
	if b.opts.SysInterval > 0 {
		accepting.Go(func() { b.runSys(ctx) })
	}
	<-ctx.Done()
	b.serving.Lock()
	b.serving.open = nil // before the wait for what it begins
	b.serving.Unlock()
	accepting.Wait()
	b.hub.close()
	b.serving.Lock()
	b.serving.closed = true
	for c := range b.serving.conns {
		c.Kick(mqtt.ServerShuttingDown)
	}
	b.serving.Unlock()
	b.wg.Wait()
	b.trim.stop()
	b.serving.preConnect.stop(&b.serving.Mutex)
	b.loops.Close()
	b.hub.detachAll()
	return keep()
}

// check completes the limits and reports what cannot be meant.
func (o *Options) check() error {
	o.Limits.setDefaults()
	if o.Limits.impossible() {
		return errors.New("broker: a limit is negative or too small")
	}
	for i, ln := range o.Listeners {
		if ln.Listener == nil {
			return fmt.Errorf("broker: listener %d (%q) is not bound", i, ln.Name)
		}
		if p := ln.TopicPrefix; p != "" && (topic.ValidName(p) != nil || p[0] == '$' || len(p) > maxPrefix || !strings.HasSuffix(p, "/")) {
			return fmt.Errorf("broker: topic prefix %q of listener %q: it must end with / and be a topic", p, ln.Name)
		}
		if ln.Limits != nil && ln.Limits.impossible() {
			return fmt.Errorf("broker: a limit of listener %q is negative or too small", ln.Name)
		}
	}
	return nil
}

// keep runs the store until the function it returns is called. fail is called
// when the store ends before.
func (b *Broker) keep(ctx context.Context, fail func()) (stop func() error) {
	if b.durable == nil {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() {
		done <- b.durable.Run(ctx)
		fail()
	}()
	return func() error {
		cancel()
		defer b.dir.Unlock()
		return <-done
	}
}

// isLocal reports whether id is that of a Client of this process.
func (b *Broker) isLocal(id string) bool {
	_, ok := b.hub.locals.Load(id)
	return ok
}

// serve runs one accepted connection, or closes it when there are too many.
func (b *Broker) serve(nc net.Conn, l *listener) {
	if l == nil { // closed meanwhile
		nc.Close()
		return
	}
	code := l.mayEnter(nc)
	if l.over != nil {
		nc = l.over(listen.Whole(nc)) // there may have been none when Accept began
	}
	c := conn.New(&l.conn, nc)
	s := &b.serving
	s.Lock()
	defer s.Unlock()
	a := &l.gate.account
	if s.closed || l != l.gate.now.Load() || len(s.conns) >= s.most || a.open >= l.limits.Connections {
		code = mqtt.ServerBusy
	}
	if !code.Failed() && !c.Hold() {
		code = mqtt.QuotaExceeded
	}
	if code.Failed() {
		a.refuse(code)
		nc.Close()
		return
	}
	a.open++
	s.conns[c] = l
	b.trim.count(len(s.conns), b.shrink, b.opts.Emptied)
	b.limitPreConnect(c, time.Now())
	a.accepted++
	b.wg.Add(1) // forget takes it back
	if !b.loops.Take(c) {
		c.Own()
		go func() {
			defer b.forget(c)
			c.Serve()
		}()
	}
}

func (b *Broker) forget(c *conn.Conn) {
	if c.Peer() == nil {
		b.hub.events.refused(c)
	}
	b.serving.Lock()
	defer b.serving.Unlock()
	b.serving.conns[c].gate.account.leave(c)
	c.Release()
	delete(b.serving.conns, c)
	b.trim.count(len(b.serving.conns), b.shrink, b.opts.Emptied)
	b.wg.Done()
}
