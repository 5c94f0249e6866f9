package main

import (
	"net"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
)

// limits returns the limits at one or more places of the configuration. The
// default connect_rate is for the network: on this machine it needs to be
// written.
func limits(cfg *config.Config, l *config.Limits, places ...string) *broker.Limits {
	local := 0.0
	for _, place := range places {
		if cfg.IsSet(place + ".connect_rate") {
			local = l.ConnectRate.PerSecond()
		}
	}
	expiry := l.SessionExpiryMax
	if expiry == config.Never {
		expiry = -1
	}
	return &broker.Limits{
		Exact:             true,
		Connections:       l.Connections,
		PacketSize:        uint32(l.PacketSize),
		ReceiveMaximum:    uint16(l.ReceiveMaximum),
		TopicAliasMaximum: uint16(l.TopicAliasMaximum),
		KeepAliveMax:      l.KeepAliveMax,
		SessionExpiryMax:  expiry,
		QueueMessages:     l.QueueMessages,
		QueueSize:         l.QueueSize.Int(),
		RetainedMessages:  l.RetainedMessages,
		RetainedSize:      int64(l.RetainedSize),
		Subscriptions:     l.Subscriptions,
		TopicLevels:       l.TopicLevels,
		TopicLength:       l.TopicLength,
		Sessions:          l.Sessions,
		KeepAliveFactor:   l.KeepAliveFactor,
		ByteRate:          l.ByteRate.PerSecond(),
		Flapping:          int(l.Flapping.Count),
		FlappingWindow:    l.Flapping.Per,
		MessageRate:       l.MessageRate.PerSecond(),
		ConnectRate:       l.ConnectRate.PerSecond(),
		LocalConnectRate:  local,
	}
}

func features(f *config.Features) *broker.Features {
	return &broker.Features{
		MaxQoS:                  mqtt.QoS(f.MaxQoS),
		Retain:                  f.Retain,
		Wildcard:                f.Wildcard,
		Shared:                  f.Shared,
		SubscriptionIdentifiers: f.SubscriptionIdentifiers,
		CheckPayload:            f.CheckPayload,
		ResponseInformation:     f.ResponseInformation,
	}
}

func listenerOptions(cfg *config.Config, place string, l *config.Listener, ln net.Listener) broker.ListenerOptions {
	o := broker.ListenerOptions{
		Name: l.Bind, Listener: ln, Anonymous: l.Anonymous, OwnUsers: l.UsersFile != "",
		TopicPrefix: l.TopicPrefix, Proxied: len(l.ProxyProtocol) > 0,
	}
	if l.Limits != nil {
		o.Limits = limits(cfg, &l.Limits.Limits, "mqtt.limits", place+".limits")
	}
	if l.Features != nil {
		o.Features = features(&l.Features.Features)
	}
	if l.MovedTo != "" {
		o.Redirect = &broker.Redirect{Reference: l.MovedTo, Permanent: true}
	}
	return o
}
