package broker

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Relisten puts the Listeners, Limits and Features of o in the place of those
// that Run serves. A socket that is served already goes on, whatever lies over
// it now, and so do its connections unless it is Renewed; sockets that are not
// in o are closed. Connections that have to go get 0x98. Limits and Features
// are those of new connections; what is retained or open stays, also if it is
// more. In-process clients keep the limits of New. It does not wait for
// connections to end. With an error nothing has changed.
func (b *Broker) Relisten(o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	o.Auth = b.opts.Auth
	for i := range o.Listeners {
		if b.hub.known(o.who(&o.Listeners[i])) == nil {
			return errors.New("broker: an Authenticator that New has not seen")
		}
	}
	s := &b.serving
	s.Lock()
	defer s.Unlock()
	if s.open == nil {
		return errors.New("broker: listeners are exchanged while Run serves them")
	}
	s.most = o.Limits.Connections
	b.hub.router.Bound(o.Limits.RetainedMessages, o.Limits.RetainedSize)
	b.exchange(&o)
	for _, g := range s.gates {
		if g.stop == nil {
			s.open(g)
		}
	}
	for c, l := range s.conns {
		if now := l.gate.now.Load(); now == nil || now != l && l.gate.renewed {
			c.Kick(mqtt.AdministrativeAction)
		}
	}
	return nil
}

// exchange makes the gates of o out of those that are there and closes the
// others. The caller holds the lock of serving, or is New.
func (b *Broker) exchange(o *Options) {
	s := &b.serving
	left := make(map[net.Listener]*gate)
	for _, g := range s.gates {
		left[g.socket] = g
	}
	s.gates = nil
	for i := range o.Listeners {
		ln := &o.Listeners[i]
		socket, over := listen.Split(ln.Listener)
		listen.OnRevoked(ln.Listener, b.endStranded)
		g := left[socket]
		if delete(left, socket); g == nil {
			g = &gate{socket: socket}
		}
		l := newListener(b, g, ln, o)
		l.over, g.renewed = over, ln.Renewed
		g.now.Store(l)
		s.gates = append(s.gates, g)
	}
	for _, g := range left {
		b.log.Info("listens no more", "listener", g.now.Swap(nil).name)
		g.stop()
		g.socket.Close() // at once: its address is free when Relisten returns
	}
}

// accept begins to accept at all gates until ctx ends, and lets Relisten begin
// at others; all adds them up.
func (b *Broker) accept(ctx context.Context, all *sync.WaitGroup) {
	s := &b.serving
	s.Lock()
	defer s.Unlock()
	s.open = func(g *gate) {
		l := g.now.Load()
		b.log.Info("listening", "listener", l.name, "address", g.socket.Addr().String())
		ctx, stop := context.WithCancel(ctx)
		g.stop = stop
		all.Go(func() {
			defer stop()
			socket := g.socket
			if l.over == nil { // a Relisten may change that, and then it costs a little more
				socket = listen.Raw(socket)
			}
			listen.Accept(ctx, socket, b.log, func(nc net.Conn) { b.serve(nc, g.now.Load()) })
		})
	}
	for _, g := range s.gates {
		s.open(g)
	}
}
