package bridge

import (
	"context"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// begins makes the node's will that of the login, and notes which filters its
// commands have.
func (l *link) begins(in *login) {
	if l.b.o.Edge != nil {
		will, commands := l.b.o.Edge.Will()
		in.will, l.commands = &will, commands
		l.reborn.Store(true)
	}
}

// births publishes what a node begins with, when it is due.
func (l *link) births(ctx context.Context) error {
	if !l.reborn.Swap(false) {
		return nil
	}
	return l.utter(ctx, l.b.o.Edge.Births(ctx))
}

// edge sends what becomes of an entry; the entry goes when that has left.
func (l *link) edge(ctx context.Context, e *mqtt.Queued, at time.Time) error {
	past := l.behind[laneOf(e.Seq)] >= 0
	l.past = l.past || past
	if err := l.utter(ctx, l.b.o.Edge.Data(ctx, &e.Message, at, past)); err != nil {
		return err
	}
	l.loose = append(l.loose, loose{e.Seq, l.end})
	if len(l.loose) < looseMost {
		return nil
	}
	return l.settleLoose(ctx)
}

// utter writes messages of QoS 0 that are not in a queue as they are. One that is
// larger than the server takes leaves a gap in the node's sequence, after which
// hosts ask for births.
func (l *link) utter(ctx context.Context, all []mqtt.Message) error {
	for i := range all {
		o := outgoing{topic: all[i].Topic, payload: all[i].Payload}
		packet, err := l.up.encode(&o)
		if n := l.lim.packetSize; err != nil || n > 0 && len(packet) > int(n) {
			continue
		}
		if l.end, err = l.write(ctx, time.Now(), 0, &o, packet); err != nil {
			return err
		}
	}
	return nil
}

// command carries out what a host asks of the node; handled is false for any other
// message. What is to be set goes the way of what comes down, if a route In
// says so.
func (l *link) command(ctx context.Context, in inbound) (code mqtt.ReasonCode, handled bool, err error) {
	if l.b.o.Edge == nil || in.rel {
		return 0, false, nil
	}
	rebirth, set := l.b.o.Edge.Command(&mqtt.Message{Topic: in.topic, Payload: in.payload, Retain: in.retain})
	if rebirth {
		l.reborn.Store(true)
		l.b.pacer.nudge()
	}
	for _, m := range set {
		c, err := l.b.receiver.receive(ctx, inbound{topic: m.Topic, payload: m.Payload, qos: mqtt.AtLeastOnce})
		if code = max(code, c); err != nil {
			return code, true, err
		}
	}
	return code, true, nil
}

// filters are what the link subscribes to.
func (l *link) filters() []mqtt.Subscription {
	if l.b.o.Edge == nil {
		return subscriptions(l.b.o.In)
	}
	var subs []mqtt.Subscription
	for _, f := range l.commands {
		subs = append(subs, mqtt.Subscription{Filter: f, QoS: mqtt.AtLeastOnce, RetainHandling: mqtt.DoNotSendRetained})
	}
	return slices.Clip(subs)
}
