package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
)

// In this version a spool is kept in memory: this much of its max_size.
const (
	spoolBytes    = 16 << 20
	spoolMessages = 50_000
)

func (g *gateway) wireBridges(cfg *config.Config, d *deps) error {
	for _, bc := range cfg.Bridges {
		if err := g.wireBridge(bc, d); err != nil {
			return fmt.Errorf("bridges.%s: %w", bc.Name, err)
		}
	}
	return nil
}

func (g *gateway) wireBridge(bc config.Bridge, d *deps) error {
	secured, err := bridgeTLS(&bc)
	if err != nil {
		return err
	}
	o := bridge.Options{
		Name: bc.Name, Servers: bc.Servers, ClientID: bc.ClientID, Protocol: bridgeProtocol[bc.Protocol],
		Username: bc.Credentials.Username, Password: bc.Credentials.Password.Reveal(),
		TLS: secured, KeepAlive: bc.KeepAlive, StatusTopic: bc.StatusTopic,
		Out: outRoutes(bc.Out), In: inRoutes(bc.In),
		InFlight: bc.Pace.Inflight, InFlightBytes: int(bc.Pace.InflightBytes),
		Log: d.logger("bridge"), OnEvent: d.onEvent, Dial: d.dial, RetryMax: d.retryMax,
	}
	local, err := g.broker.Attach(broker.ClientOptions{ID: bridge.LocalID(bc.Name), CleanStart: true})
	if err != nil {
		return err
	}
	o.Local = local
	if d.sys {
		o.OnEvent = bridgeState(local, bc.ClientID, d.onEvent)
	}
	if len(o.Out) > 0 {
		q, err := g.broker.AttachQueue(broker.QueueOptions{
			Name: bc.Name, Filters: bridge.OutFilters(o.Out), Skip: bridge.LocalID(bc.Name),
			MaxBytes: min(int64(bc.Spool.MaxSize), spoolBytes), MaxMessages: spoolMessages,
		})
		if err != nil {
			return err
		}
		o.Queue = q
	}
	b, err := bridge.New(o)
	if err != nil {
		return err
	}
	g.bridges = append(g.bridges, b)
	g.parts = append(g.parts, part{"bridge " + bc.Name, func(ctx context.Context) error {
		defer local.Close() // a clean end of an in-process session cannot fail
		return b.Run(ctx)
	}})
	return nil
}

var bridgeProtocol = map[string]mqtt.Version{"3.1": mqtt.V31, "3.1.1": mqtt.V311, "5": mqtt.V5}

func outRoutes(in []config.OutRoute) []bridge.Route {
	var out []bridge.Route
	for _, r := range in {
		out = append(out, route(r.Route))
	}
	return out
}

func inRoutes(in []config.Route) []bridge.Route {
	var out []bridge.Route
	for _, r := range in {
		out = append(out, route(r))
	}
	return out
}

func route(r config.Route) bridge.Route {
	limit := mqtt.QoS(r.QoS)
	return bridge.Route{From: string(r.From), To: string(r.To), QoS: &limit}
}

// bridgeTLS reads certificates; nil means the defaults of the bridge.
func bridgeTLS(bc *config.Bridge) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: bc.TLS.ServerName, NextProtos: bc.TLS.ALPN}
	if file := string(bc.TLS.CA); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca: %s holds no PEM certificate", file)
		}
	}
	if cert := string(bc.Credentials.Cert); cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, string(bc.Credentials.Key))
		if err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
