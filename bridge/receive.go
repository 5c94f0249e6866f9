package bridge

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// localTimeout bounds one local publish.
const localTimeout = 10 * time.Second

// receiver takes messages from upstream. It lives as long as the bridge, so
// that a QoS 2 message resent on a resumed session is published once.
type receiver struct {
	self   string
	routes []route
	prep   *preparer
	storm  *storm
	// stopped hears of a route that a loop has stopped.
	stopped func(from string)
	local   Publisher
	status  *status

	mu struct {
		sync.Mutex
		seen map[uint16]bool // QoS 2 identifiers published and not yet released [MQTT-4.3.3-10]
	}
}

func newReceiver(self string, routes []route, prep *preparer, local Publisher, st *status) *receiver {
	r := &receiver{self: self, routes: routes, prep: prep, storm: newStorm(len(routes)), stopped: func(string) {}, local: local, status: st}
	r.mu.seen = map[uint16]bool{}
	return r
}

// begin forgets the identifiers of a session that the server has lost.
func (r *receiver) begin(sessionPresent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !sessionPresent {
		clear(r.mu.seen)
	}
}

// receive publishes one message locally. It returns the code to acknowledge
// with, or an error when the message must not be acknowledged.
func (r *receiver) receive(ctx context.Context, in inbound) (mqtt.ReasonCode, error) {
	if in.qos > 0 && ctx.Err() != nil {
		return 0, failf(ClassTCP, "connection ended: %w", ctx.Err())
	}
	if in.qos == mqtt.ExactlyOnce && r.known(in.id) {
		r.status.update(func(s *Stats) { s.Duplicate++ })
		return mqtt.Success, nil
	}
	if err := topic.ValidName(in.topic); err != nil {
		return 0, failf(ClassProtocol, "PUBLISH from the server: %w", err)
	}
	to, rt, ok := remap(r.routes, in.topic)
	if !ok || r.prep.looped(in.props, maxHops+1) || r.stormy(rt, &in) || strings.HasPrefix(to, "$") {
		// A subscription of an earlier configuration, a loop or a storm, or a topic that
		// only this server itself publishes to: the other one has done its part.
		r.status.update(func(s *Stats) { s.Rejected++ })
		r.remember(in)
		return mqtt.Success, nil
	}
	m := mqtt.Message{
		Topic: to, Payload: in.payload, Properties: in.props,
		QoS: min(in.qos, rt.qos), Retain: in.retain && !rt.strip, Publisher: r.self,
	}
	if in.hasExp {
		m.Expires = time.Now().Add(time.Duration(in.expiry) * time.Second)
	}
	return r.publish(ctx, in, m)
}

// stormy reports whether a message is part of a loop that has stopped its route.
func (r *receiver) stormy(rt *route, in *inbound) bool {
	refuse, stops := r.storm.down(time.Now(), rt.number, in.topic, in.payload)
	if stops {
		r.stopped(rt.filter)
	}
	return refuse
}

func (r *receiver) publish(ctx context.Context, in inbound, m mqtt.Message) (mqtt.ReasonCode, error) {
	c, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	err := r.local.Publish(c, m)
	var refused *mqtt.Error
	switch {
	case err == nil:
		r.status.update(func(s *Stats) { s.Received++ })
		r.remember(in)
		return mqtt.Success, nil
	case errors.As(err, &refused) && refused.Code.Failed():
		r.status.update(func(s *Stats) { s.Rejected++ })
		return refused.Code, nil
	case in.qos == 0:
		r.status.update(func(s *Stats) { s.Rejected++ })
		return mqtt.Success, nil
	}
	return 0, failf(ClassLocal, "publish locally: %w", err)
}

func (r *receiver) known(id uint16) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.seen[id]
}

func (r *receiver) remember(in inbound) {
	if in.qos != mqtt.ExactlyOnce {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.seen[in.id] = true
}

// release handles PUBREL: the identifier is free for another message.
func (r *receiver) release(id uint16) mqtt.ReasonCode {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mu.seen[id] {
		return mqtt.PacketIdentifierNotFound
	}
	delete(r.mu.seen, id)
	return mqtt.Success
}

// subscriptions are what the in routes need upstream. No Local keeps away what
// this bridge sent up itself, Retain As Published lets RETAIN cross.
func subscriptions(routes []Route) []mqtt.Subscription {
	var subs []mqtt.Subscription
	for _, r := range routes {
		s := mqtt.Subscription{
			Filter: r.From, QoS: mqtt.ExactlyOnce, NoLocal: true,
			RetainAsPublished: true, RetainHandling: mqtt.SendRetainedIfNew,
		}
		if r.QoS != nil {
			s.QoS = *r.QoS
		}
		if r.Retain == StripRetain {
			s.RetainHandling = mqtt.DoNotSendRetained
		}
		subs = append(subs, s)
	}
	return subs
}
