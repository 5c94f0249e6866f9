package main

import (
	"math"
	"net"
	"syscall"

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
		Connections:       min(l.Connections, connectionsAtMost()),
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

// ownFiles is how many descriptors are left to the store, bridges, devices and
// the API when clients have all that they may have.
const ownFiles = 64

// connectionsAtMost is how many connections there are descriptors for: clients
// that took all would keep the store from opening its next file.
func connectionsAtMost() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxInt
	}
	n := int(min(limit.Cur, math.MaxInt32))
	return n - min(ownFiles, n/2)
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
