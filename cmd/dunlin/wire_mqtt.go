package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/config"
)

// bindAll binds the listeners; one that cannot be bound ends the start, with
// the place in the configuration that asks for it.
func bindAll(cfg *config.Config, d *deps) ([]broker.ListenerOptions, error) {
	listen := d.listen
	if listen == nil {
		listen = broker.Listen
	}
	var bound []broker.ListenerOptions
	for i, l := range cfg.MQTT.Listeners {
		ln, err := listen(l.Bind)
		if err != nil {
			for _, b := range bound {
				b.Listener.Close() // nothing was served yet
			}
			return nil, fmt.Errorf("mqtt.listeners[%d]: %w%s", i, err, bindHint(err))
		}
		bound = append(bound, broker.ListenerOptions{Name: l.Bind, Listener: ln, Anonymous: l.Anonymous})
	}
	return bound, nil
}

// bindHint says what to do about the most frequent failure.
func bindHint(err error) string {
	switch {
	case isAddressInUse(err):
		return "; another server runs there: stop it ('systemctl disable --now mosquitto' if it is mosquitto), or choose another port"
	case isPermission(err):
		return "; ports below 1024 and directories of others need a privilege: choose another"
	}
	return ""
}

func isAddressInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
func isPermission(err error) bool   { return errors.Is(err, fs.ErrPermission) }

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

// listenNear binds bind, or, when its port is taken, one of the ports after
// it, or any free one.
func listenNear(bind string) (net.Listener, error) {
	l, err := broker.Listen(bind)
	host, port, splitErr := net.SplitHostPort(bind)
	if !isAddressInUse(err) || splitErr != nil {
		return l, err
	}
	first, err := net.LookupPort("tcp", port)
	if err != nil {
		return nil, err
	}
	for p := first + 1; p <= min(first+10, 65535); p++ {
		if l, err = broker.Listen(net.JoinHostPort(host, fmt.Sprint(p))); !isAddressInUse(err) {
			return l, err
		}
	}
	return broker.Listen(net.JoinHostPort(host, "0"))
}
