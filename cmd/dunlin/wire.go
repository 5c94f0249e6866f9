package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/lines"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// The parts see each other only through the interfaces that they declare.
var (
	_ sensors.Session  = (*broker.Client)(nil)
	_ bridge.Publisher = (*broker.Client)(nil)
	_ bridge.Queue     = (*broker.Queue)(nil)
)

// deps are what a gateway takes from outside its configuration. Zero values
// are the real thing; the demo and tests put in others.
type deps struct {
	log *slog.Logger // required
	// lines are the newest of log; nil keeps none.
	lines *lines.Ring
	// buses replaces the hardware.
	buses sensors.Buses
	// listen replaces binding; the demo moves away from ports that are taken.
	listen func(bind string) (net.Listener, error)
	// dial replaces TCP of all bridges.
	dial func(ctx context.Context, server string) (net.Conn, error)
	// onEvent hears of the bridges' changes.
	onEvent func(bridge.Event)
	// retryMax caps the back-off of bridges; 0 is the bridge's own cap.
	retryMax time.Duration
	// sys says that the broker publishes below $SYS; set by wire.
	sys bool
	// volatile keeps nothing on disk.
	volatile bool
	// control opens the socket and the port of the API.
	control bool
	// door leads from the page's address to the listener that shares it.
	door *pageDoor
	// memory is what the program may use.
	memory budget
	// levels are the log levels of parts.
	levels *logLevels
}

// gateway is a wired configuration, ready to run.
type gateway struct {
	broker    *broker.Broker
	auth      *broker.Auth
	listeners []bound
	links     *group // runs the bridges; its lock guards bridges
	bridges   []*bridge.Bridge
	queues    map[string]*spool // by name; those of bridges that are gone too
	mark      string            // bridge.Options.Mark of all bridges
	clock     *bridge.Clock     // of all bridges
	sensors   *sensors.Manager
	addresses []net.Addr // of the listeners, in the configuration's order
	api       *api.API   // nil without a control plane
	web       *group     // runs the page
	page      net.Addr   // of http.bind; nil: it is off or taken
	parts     []part
	deps      deps
	events    lines.Events                  // of clients
	started   *config.Config                // of the start
	config    atomic.Pointer[config.Config] // that is carried out now
	reloading sync.Mutex                    // one Reload at a time
	reloaded  atomic.Pointer[api.Reloaded]  // the last one
	// pageListener is that of page, leavePage ends it; both are nil without it.
	pageListener net.Listener
	leavePage    func()
	closers      []io.Closer   // what wire has bound beside the broker's listeners
	inhabited    chan struct{} // closed when there is a device or bridge: see inhabit
}

// wire makes the parts of a checked configuration and binds its listeners. It
// waits for nothing: hardware and upstream servers are approached by Run.
func wire(cfg *config.Config, d deps) (g *gateway, err error) {
	auth, errs := makeAuth(cfg, false)
	if len(errs) > 0 {
		return nil, errs
	}
	d.door = new(pageDoor)
	if d.control {
		d.door.bind = cfg.HTTP.Bind
	}
	bound, err := bindAll(cfg, &d)
	if err != nil {
		return nil, err
	}
	warnClearText(cfg, d.logger("broker"))
	g = &gateway{auth: auth, listeners: bound.all, started: cfg, links: newGroup(), web: newGroup(), queues: map[string]*spool{}, inhabited: make(chan struct{})}
	defer func(made *gateway) {
		if err != nil {
			bound.close()
			made.close()
		}
	}(g)
	g.config.Store(cfg)
	g.addresses = bound.addresses()
	if !d.volatile {
		setAside(string(cfg.DataDir), d.logger("broker"))
	}
	g.broker, err = broker.New(broker.Options{
		Data:         data(cfg, &d),
		Listeners:    bound.options,
		Limits:       *limits(cfg, &cfg.MQTT.Limits, "mqtt.limits"),
		Overflow:     overflows[cfg.Store.Overflow],
		Features:     features(&cfg.MQTT.Features),
		OverlapEach:  cfg.MQTT.Overlap == "each",
		Auth:         auth,
		ClientEvents: cfg.MQTT.ClientEvents,
		OnClient:     func(e broker.ClientEvent) { g.events.Add(e.ClientID, e.What, e.Text) },
		SysInterval:  cfg.MQTT.SysInterval,
		Version:      readVersion().Version,
		Emptied:      releaseCode,
		MemoryBudget: d.memory.clients,
		MemoryLimit:  d.memory.limit,
		Log:          d.logger("broker"),
	})
	if err != nil {
		return nil, err
	}
	d.sys = cfg.MQTT.SysInterval > 0
	g.deps = d
	g.parts = append(g.parts, part{"broker", g.broker.Run}, part{"settle", settle})
	if err := g.wireBridges(cfg, &d); err != nil {
		return nil, err
	}
	g.wireStatus(cfg)
	if err := g.wireDevices(cfg, &d); err != nil {
		return nil, err
	}
	if d.control {
		if err := g.wireAPI(cfg, &d); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *gateway) close() {
	for _, c := range g.closers {
		c.Close()
	}
}

// Run runs the gateway until ctx ends, then stops it: devices to their safe
// state and offline, bridges drained for a moment, sessions closed with a
// reason. A gateway runs once.
func (g *gateway) Run(ctx context.Context) error { return runParts(ctx, g.parts) }

// wireStatus adds the gateway's own session: dunlin/{node}/status is online
// while it runs, offline after any kind of end. A server without devices and
// bridges has none: who subscribes to # there gets what clients publish.
func (g *gateway) wireStatus(cfg *config.Config) {
	status := mqtt.Message{Topic: cfg.Gateway.Base + "/status", QoS: mqtt.AtLeastOnce, Retain: true}
	online, offline := status, status
	online.Payload, offline.Payload = []byte("online"), []byte("offline")
	g.inhabit(cfg)
	g.parts = append(g.parts, part{"status", func(ctx context.Context) error {
		select {
		case <-g.inhabited:
		case <-ctx.Done():
			return nil
		}
		c, err := g.broker.Attach(broker.ClientOptions{ID: "gateway", CleanStart: true, Will: &mqtt.Will{Message: offline}})
		if err != nil {
			return fmt.Errorf("attach gateway: %w", err)
		}
		err = c.Publish(ctx, online)
		if e := (*mqtt.Error)(nil); errors.As(err, &e) && e.Code == mqtt.ImplementationSpecificError {
			// A disk that is full or has failed is no reason not to serve. The
			// message cannot be retained, which is the error again, but those who
			// are there get it.
			online.QoS, err = mqtt.AtMostOnce, nil
			c.Publish(ctx, online)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("publish %s: %w", status.Topic, err)
		}
		<-ctx.Done()
		return c.DisconnectWithWill()
	}})
}

// inhabit begins the gateway's own session with the first device or bridge, at
// the start or with a reload; those are one after the other.
func (g *gateway) inhabit(cfg *config.Config) {
	select {
	case <-g.inhabited:
	default:
		if len(cfg.Devices)+len(cfg.Bridges) > 0 {
			close(g.inhabited)
		}
	}
}

// logger returns the logger of one part at its own level.
func (d *deps) logger(component string) *slog.Logger {
	l := d.log.With("component", component)
	h, ok := l.Handler().(levelHandler)
	if !ok || d.levels == nil {
		return l
	}
	return slog.New(levelHandler{h.Handler, d.levels.of(component)})
}
