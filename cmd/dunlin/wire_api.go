package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/http1"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/lines"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/scan"
	"github.com/dunlin-mqtt/dunlin/config"
)

// serviceSocket is where a gateway that systemd runs has its socket.
const serviceSocket = "/run/dunlin/dunlin.sock"

// socketPath is where a gateway has its socket: in the service's
// RuntimeDirectory, or, of one that was started by hand, in its data_dir.
func socketPath(cfg *config.Config) string {
	if dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
		return filepath.Join(dir, "dunlin.sock")
	}
	return filepath.Join(string(cfg.DataDir), "dunlin.sock")
}

// wireAPI adds the control plane: the socket, and the port of http.bind. A
// gateway without them still serves, so only a port that the file asks for
// must work.
func (g *gateway) wireAPI(cfg *config.Config, d *deps) error {
	c, err := g.broker.Attach(broker.ClientOptions{ID: "api", CleanStart: true})
	if err != nil {
		return fmt.Errorf("attach api: %w", err)
	}
	a := api.New(g.apiOptions(cfg, d, c))
	g.parts = append(g.parts, part{"api client", func(ctx context.Context) error {
		<-ctx.Done()
		return c.Close()
	}}, part{"systemd", notifySystemd(a)}, part{"history", a.Remember})
	if d.volatile {
		// nothing of it is on disk, no socket either
	} else if ln, err := api.Listen(socketPath(cfg)); err != nil {
		d.logger("http").Warn("no control socket: 'dunlin status' and its like cannot reach this gateway", "err", err)
	} else {
		g.serve("socket", ln, a.ServeSocket)
	}
	g.api = a
	g.parts = append(g.parts, part{"web", g.web.run})
	return g.openPage(cfg, d)
}

// apiOptions is what the control plane asks the gateway for; c is its client.
func (g *gateway) apiOptions(cfg *config.Config, d *deps, c *broker.Client) api.Options {
	return api.Options{
		Broker: g.broker, Client: c, Build: readVersion(), Log: d.logger("http"),
		Config:  g.config.Load,
		Bridges: g.bridgeList,
		Devices: g.sensors.Status, Ask: g.sensors.Ask,
		Auth:   g.auth,
		Lines:  cmp.Or(d.lines, new(lines.Ring)),
		Events: &g.events,
		Trust:  d.volatile,
		Check:  g.checkText,
		Reload: g.Reload, Reloaded: g.reloaded.Load, Node: cfg.Node,
		Upgrade: g.upgrade,
		Examine: g.examine,
		Scan: func(ctx context.Context, bus string, all bool) (*scan.Report, error) {
			f := scanFlags{root: "/", bus: bus, all: all}
			return f.look(ctx, g.config.Load(), scan.Line{})
		},
		Free: func() (int64, bool) {
			free, _, ok := diskSpace(string(g.config.Load().DataDir))
			return free, ok
		},
		Certificates: func() map[string]time.Time {
			until := map[string]time.Time{}
			for _, c := range certificates(g.config.Load()) {
				until[c.use] = c.NotAfter
			}
			return until
		},
	}
}

// openPage listens at http.bind, if that is not empty.
func (g *gateway) openPage(cfg *config.Config, d *deps) error {
	if cfg.HTTP.Bind == "" {
		return nil
	}
	ln, err := d.atStart()(cfg.HTTP.Bind)
	switch {
	case err == nil:
		g.closers = append(g.closers, ln)
		g.servePage(ln)
	case cfg.IsSet("http.bind") || d.door.to.Load() != nil:
		return fmt.Errorf("http.bind: %w%s", err, bindHint(err))
	default:
		d.logger("http").Warn("no API and metrics on the usual port: set http.bind", "err", err)
	}
	return nil
}

// serve adds a listener of the API as a part.
func (g *gateway) serve(name string, ln net.Listener, serve func(context.Context, net.Listener) error) {
	g.closers = append(g.closers, ln)
	g.parts = append(g.parts, part{name, func(ctx context.Context) error { return serve(ctx, ln) }})
}

// upgrade hands a connection over to the listener that shares the page's
// address, if it is for that.
func (g *gateway) upgrade(r *http1.Request, read []byte) bool {
	door, all := g.deps.door, g.config.Load().MQTT.Listeners
	i := slices.IndexFunc(all, func(l config.Listener) bool { return l.Shares(door.bind) && l.Path == r.Path })
	return i >= 0 && door.to.Load().HandOver(r.Conn, read)
}
