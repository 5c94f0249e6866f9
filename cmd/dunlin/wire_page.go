package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/config"
)

// farewell is how long connections of the page go on after its address has
// changed: one of them may have asked for that.
const farewell = time.Second

// servePage serves the page and the API on ln until leavePage.
func (g *gateway) servePage(ln net.Listener) {
	left := make(chan struct{})
	g.page, g.pageListener = ln.Addr(), ln
	g.leavePage = func() { close(left); ln.Close() }
	g.deps.logger("http").Info("the page is served", "address", ln.Addr().String())
	g.web.add(part{"http", func(ctx context.Context) error {
		serving, cancel := context.WithCancel(ctx)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- g.api.ServePort(serving, ln) }()
		select {
		case <-ctx.Done():
			return <-ended
		case <-left:
		}
		select {
		case <-ctx.Done():
		case <-time.After(farewell):
		}
		cancel()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}})
}

// movesPage says that a reload can change http.bind: it cannot where a listener
// of MQTT has the same address.
func (g *gateway) movesPage(next *config.Config) bool {
	for _, cfg := range []*config.Config{g.config.Load(), next} {
		for i := range cfg.MQTT.Listeners {
			if cfg.MQTT.Listeners[i].Shares(cfg.HTTP.Bind) {
				return false
			}
		}
	}
	return g.api != nil
}

// bindPage binds what http.bind of next needs and does not have; nil if that is
// nothing.
func (g *gateway) bindPage(next *config.Config) (net.Listener, error) {
	bind := next.HTTP.Bind
	if bind == g.config.Load().HTTP.Bind || bind == "" || !g.movesPage(next) {
		return nil, nil
	}
	var going []net.Listener
	if g.pageListener != nil {
		going = append(going, g.pageListener)
	}
	ln, err := broker.Listen(bind, going...)
	if err != nil {
		return nil, fmt.Errorf("http.bind: %w%s", err, bindHint(err))
	}
	return ln, nil
}

// movePage carries out the http.bind of next on what bindPage has bound.
func (g *gateway) movePage(next *config.Config, ln net.Listener) {
	if next.HTTP.Bind == g.config.Load().HTTP.Bind || !g.movesPage(next) {
		return
	}
	if g.leavePage != nil {
		g.leavePage()
	}
	g.page, g.pageListener, g.leavePage = nil, nil, nil
	if ln != nil {
		g.servePage(ln)
	}
	g.deps.door.bind = next.HTTP.Bind
}
