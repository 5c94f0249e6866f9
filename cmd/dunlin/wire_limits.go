package main

import (
	"net"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
)

func limits(l *config.Limits) *broker.Limits {
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
		QueueSize:         int(l.QueueSize),
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

func listenerOptions(l *config.Listener, ln net.Listener) broker.ListenerOptions {
	o := broker.ListenerOptions{
		Name: l.Bind, Listener: ln, Anonymous: l.Anonymous, OwnUsers: l.UsersFile != "",
		TopicPrefix: l.TopicPrefix, Proxied: len(l.ProxyProtocol) > 0,
	}
	if l.Limits != nil {
		o.Limits = limits(&l.Limits.Limits)
	}
	if l.Features != nil {
		o.Features = features(&l.Features.Features)
	}
	if l.MovedTo != "" {
		o.Redirect = &broker.Redirect{Reference: l.MovedTo, Permanent: true}
	}
	return o
}
