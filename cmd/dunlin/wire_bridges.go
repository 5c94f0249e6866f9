package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug"
)

// Without a data directory a spool is in memory: this much of its max_size.
const (
	spoolBytes    = 16 << 20
	spoolMessages = 50_000
)

func (g *gateway) wireBridges(cfg *config.Config, d *deps) error {
	g.mark, g.clock = bridge.NewMark(), bridge.NewClock()
	g.parts = append(g.parts, part{"bridges", g.links.run})
	for _, bc := range cfg.Bridges {
		if err := g.wireBridge(cfg, bc, false, d); err != nil {
			return fmt.Errorf("bridges.%s: %w", bc.Name, err)
		}
	}
	return nil
}

func (g *gateway) wireBridge(cfg *config.Config, bc config.Bridge, paused bool, d *deps) error {
	if _, err := bridgeTLS(cfg, &bc); err != nil {
		return err
	}
	o := bridgeOptions(cfg, &bc)
	o.Mark, o.ClockSynced, o.Clock = g.mark, sensors.ClockSynced, g.clock
	o.Log, o.OnEvent, o.Dial, o.RetryMax = d.logger("bridge"), d.onEvent, d.dial, d.retryMax
	var err error
	if o.Signer, err = bridgeSigner(&bc); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	local, err := g.broker.Attach(broker.ClientOptions{ID: bridge.LocalID(bc.Name), CleanStart: true})
	if err != nil {
		return err
	}
	o.Local = local
	o.Held = func(topic string) *mqtt.Message {
		if all, _ := g.broker.Retained(topic); len(all) > 0 {
			return all[0]
		}
		return nil
	}
	var sys *bridgeSys
	if d.sys {
		sys = newBridgeSys(local, bc.Name, bc.ClientID, d.onEvent)
		o.OnEvent = sys.event
	}
	if err := g.attachLanes(cfg, &bc, &o, d); err != nil {
		return err
	}
	if !d.volatile {
		o.Usage = filepath.Join(string(cfg.DataDir), "bridge-"+bc.Name+".day")
		o.Subscribed = filepath.Join(string(cfg.DataDir), "bridge-"+bc.Name+".in")
	}
	if bc.Envelope == "sparkplug" {
		file := ""
		if !d.volatile {
			file = filepath.Join(string(cfg.DataDir), "bridge-"+bc.Name+".bdseq")
		}
		o.Edge = sparkplug.NewEdge(cfg.Gateway.Sparkplug.Group, cfg.Node, file, o.Log)
	}
	b, err := bridge.New(o)
	if err != nil {
		return err
	}
	if paused {
		b.Pause()
	}
	g.addBridge(b, part{"bridge " + bc.Name, func(ctx context.Context) error {
		defer local.Close() // a clean end of an in-process session cannot fail
		var reporter sync.WaitGroup
		defer reporter.Wait()
		if sys != nil {
			reporter.Go(func() { sys.run(ctx, b, cfg.MQTT.SysInterval) })
			defer sys.ended()
		}
		return b.Run(ctx)
	}})
	return nil
}

// attachLanes makes a queue for each lane that a route uses, which share the
// size of the spool, and one for dead letters. What waits in a lane that no route
// uses any more goes up as well. The queue of lane live has the name of its bridge.
func (g *gateway) attachLanes(cfg *config.Config, bc *config.Bridge, o *bridge.Options, d *deps) error {
	var filters [bridge.LaneCount][]mqtt.Subscription
	used := 0
	for lane := range filters {
		if filters[lane] = bridge.OutFilters(o.Out, bridge.Lane(lane)); filters[lane] != nil {
			used++
		}
	}
	if used == 0 {
		return nil
	}
	for lane, f := range filters {
		qo := broker.QueueOptions{
			Name: bc.Name, Filters: f, Skip: bridge.LocalID(bc.Name),
			MaxBytes: int64(bc.Spool.MaxSize) / int64(used), MaxAge: bc.Spool.MaxAge, Overflow: overflow(cfg, bc),
			InFlight: bridge.MaxInFlight,
		}
		if d.volatile {
			qo.MaxBytes, qo.MaxMessages = min(qo.MaxBytes, spoolBytes), spoolMessages
		}
		if bridge.Lane(lane) != bridge.Live {
			qo.Name += "/" + bridge.Lane(lane).String()
		}
		if f == nil && !g.waits(qo.Name) {
			continue
		}
		in, err := bridge.NewIntake(bridge.Lane(lane), o.Out)
		if err != nil {
			return err
		}
		if in != nil {
			qo.Intake, o.Intakes[lane] = in, in
		}
		q, err := g.attachQueue(bc.Name, qo)
		if err != nil {
			return err
		}
		o.Queues[lane] = q
		s := q.Stats()
		o.Crowded[lane] = s.Bytes >= qo.MaxBytes/2 || qo.MaxAge > 0 && s.Oldest >= qo.MaxAge/2
	}
	dead, err := g.attachQueue(bc.Name, broker.QueueOptions{Name: bc.Name + "/dead", MaxBytes: bridge.DeadBytes})
	if err != nil {
		return err
	}
	o.Dead = dead
	return nil
}

// waits reports whether something may wait in a queue of an earlier configuration.
func (g *gateway) waits(queue string) bool {
	if q := g.queues[queue]; q != nil {
		return q.Stats().Messages > 0
	}
	return g.broker.KeepsQueue(queue)
}

var envelopes = map[string]bridge.Envelope{"json": bridge.JSON, "thingsboard": bridge.ThingsBoard}

var keeps = map[string]bridge.KeepWhat{
	"none": bridge.KeepNone, "last-value": bridge.KeepLast, "every": bridge.KeepEvery,
	"mean": bridge.KeepMean, "min": bridge.KeepMin, "max": bridge.KeepMax,
}

func outRoutes(in []config.OutRoute) []bridge.Route {
	var out []bridge.Route
	for _, r := range in {
		w := &r.WhileOffline
		to := route(r.Route)
		for to.Lane = bridge.Live; to.Lane.String() != r.Lane; to.Lane++ {
		}
		to.TTL, to.MaxSize = r.TTL, r.MaxSize.Int()
		if b := r.Batch; b != nil {
			to.Batch = bridge.Batch{Form: bridge.BatchJSON, Count: b.Count, Bytes: b.Size.Int(), Wait: b.Wait, Gzip: b.Compress == "gzip"}
			if b.Form == "binary" {
				to.Batch.Form = bridge.BatchBinary
			}
		}
		to.Keep = bridge.Keep{What: keeps[w.Keep], Every: w.Every, Window: max(w.Mean, w.Min, w.Max)}
		out = append(out, to)
	}
	return out
}

func inRoutes(in []config.Route) []bridge.Route {
	var out []bridge.Route
	for _, r := range in {
		to := route(r)
		to.Share, to.From = r.Share()
		out = append(out, to)
	}
	return out
}

func route(r config.Route) bridge.Route {
	limit := mqtt.QoS(r.QoS)
	to := bridge.Route{From: string(r.From), To: string(r.To), QoS: &limit}
	if r.Retain == "strip" {
		to.Retain = bridge.StripRetain
	}
	return to
}

// bridgeTLS reads certificates. Files that cannot be used are mistakes in the
// configuration, with their place.
func bridgeTLS(cfg *config.Config, bc *config.Bridge) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: bc.TLS.ServerName, NextProtos: bc.TLS.ALPN}
	place := "bridges." + bc.Name
	if file := string(bc.TLS.CA); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, config.Errors{fileFault(cfg, place+".tls.ca", "", err)}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, config.Errors{cfg.Errorf(place+".tls.ca", "", "%s holds no PEM certificate", file)}
		}
	}
	if cert := string(bc.Credentials.Cert); cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, string(bc.Credentials.Key))
		if err != nil {
			return nil, config.Errors{fileFault(cfg, place+".credentials.cert", "", err)}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
