package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/internal/router"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Broker is an MQTT server. Its methods may be called from any goroutine.
type Broker struct {
	opts Options
	log  *slog.Logger
	hub  *hub
	conn conn.Config

	serving struct {
		sync.Mutex
		conns   map[*conn.Conn]struct{}
		refused uint64
		closed  bool
	}
	wg sync.WaitGroup // connections
}

// New makes a broker. It opens nothing; Attach and AttachQueue work at once,
// network clients are served by Run.
func New(o Options) (*Broker, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Limits.setDefaults()
	l := &o.Limits
	if l.Connections < 0 || l.QueueMessages < 0 || l.QueueSize < 0 || l.RetainedMessages < 0 || l.RetainedSize < 0 ||
		l.Subscriptions < 0 || l.TopicLevels < 0 || l.TopicLength < 0 || l.KeepAliveMax < 0 {
		return nil, errors.New("broker: a limit is negative")
	}
	for i, ln := range o.Listeners {
		if ln.Listener == nil {
			return nil, fmt.Errorf("broker: listener %d (%q) is not bound", i, ln.Name)
		}
	}
	if o.Store == nil {
		o.Store = new(store.Memory)
	}
	b := &Broker{opts: o, log: o.Log}
	r := router.New(o.Store, router.Limits{RetainedMessages: l.RetainedMessages, RetainedBytes: l.RetainedSize})
	b.hub = newHub(&b.opts, r)
	b.conn = conn.Config{Server: b.hub, Router: b.hub, Barrier: r, Limits: l.conn(), Log: o.Log, Counters: new(conn.Counters)}
	b.serving.conns = make(map[*conn.Conn]struct{})
	return b, nil
}

// Run serves the listeners until ctx ends. Then it closes them, ends every
// connection (5.0 clients get DISCONNECT 0x8B), publishes the wills, detaches
// in-process clients, waits for everything it started, and returns nil. It can
// be called once.
func (b *Broker) Run(ctx context.Context) error {
	var accepting sync.WaitGroup
	for _, l := range b.opts.Listeners {
		b.log.Info("listening", "listener", l.Name, "address", l.Listener.Addr().String())
		accepting.Go(func() {
			listen.Accept(ctx, l.Listener, b.log, func(nc net.Conn) { b.serve(nc, l.Name) })
		})
	}
	<-ctx.Done()
	accepting.Wait()
	b.hub.close()
	b.serving.Lock()
	b.serving.closed = true
	for c := range b.serving.conns {
		c.Kick(mqtt.ServerShuttingDown)
	}
	b.serving.Unlock()
	b.wg.Wait()
	b.hub.detachAll()
	return nil
}

// serve runs one accepted connection, or closes it when there are too many.
func (b *Broker) serve(nc net.Conn, listener string) {
	c := conn.New(&b.conn, nc, listener)
	s := &b.serving
	s.Lock()
	defer s.Unlock()
	if s.closed || len(s.conns) >= b.opts.Limits.Connections {
		s.refused++
		nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	b.wg.Go(func() {
		defer b.forget(c)
		c.Serve()
	})
}

func (b *Broker) forget(c *conn.Conn) {
	b.serving.Lock()
	defer b.serving.Unlock()
	delete(b.serving.conns, c)
}
