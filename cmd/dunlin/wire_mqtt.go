package main

import (
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/config"
)

func limits(l *config.Limits) broker.Limits {
	expiry := l.SessionExpiryMax
	if expiry == config.Never {
		expiry = -1
	}
	return broker.Limits{
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
	}
}
