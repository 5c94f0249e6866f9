package bridge

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// retainedFor is how long a retained message that is held here in any case
// counts as one that the server sends because of SUBSCRIBE.
const retainedFor = 10 * time.Second

// localTimeout bounds one local publish.
const localTimeout = 10 * time.Second

// receiver takes messages from upstream. The identifiers of QoS 2 messages are
// the local broker's: it publishes one once, also when it is resent after the
// end of the process.
type receiver struct {
	self   string
	routes []route
	prep   *preparer
	storm  *storm
	// stopped hears of a route that a loop has stopped.
	stopped func(from string)
	local   Publisher
	held    func(topic string) *mqtt.Message // Options.Held
	base    string                           // Options.Base
	status  *status

	again   time.Time // until then the server sends what it holds, as answer to SUBSCRIBE
	anew    bool      // it was not asked before, or has forgotten that
	v3      bool      // RETAIN says that it held a message
	session string    // names the session of the present connection
	lost    bool      // the server has lost it, and its identifiers are not forgotten yet
	// refused are the Packet Identifiers of QoS 2 messages that were left out, until
	// their PUBREL. Only the deliverer uses it.
	refused map[uint16]bool
	twins   twins
}

func newReceiver(self string, routes []route, prep *preparer, local Publisher, st *status) *receiver {
	return &receiver{
		self: self, routes: routes, prep: prep, storm: newStorm(len(routes)), stopped: func(string) {},
		local: local, status: st, refused: map[uint16]bool{},
	}
}

// begin is told of a connection before anything comes from it.
func (r *receiver) begin(session string, present bool) {
	r.session, r.lost, r.again = session, !present, time.Now().Add(retainedFor)
	clear(r.refused) // what is resent is refused again
	if !present {
		r.twins = twins{}
	}
}

// forget lets go of the identifiers of a session that the server has lost,
// before the first message of the new one.
func (r *receiver) forget(ctx context.Context) error {
	if !r.lost {
		return nil
	}
	if err := r.local.Forget(ctx, r.session); err != nil {
		return failf(ClassLocal, "forget a session: %w", err)
	}
	r.lost = false
	return nil
}

// receive publishes one message locally. It returns the code to acknowledge
// with, or an error when the message must not be acknowledged.
func (r *receiver) receive(ctx context.Context, in inbound) (mqtt.ReasonCode, error) {
	if in.qos > 0 && ctx.Err() != nil {
		return 0, failf(ClassTCP, "connection ended: %w", ctx.Err())
	}
	if err := topic.ValidName(in.topic); err != nil {
		return 0, failf(ClassProtocol, "PUBLISH from the server: %w", err)
	}
	to, rt, ok := remap(r.routes, in.topic)
	if !ok || in.cut || r.prep.looped(in.props, maxHops+1) || r.stormy(rt, &in) || strings.HasPrefix(to, "$") || r.forged(to, rt) {
		// A subscription of an earlier configuration, a message too large to
		// take, a loop or a storm, or a topic that only this server itself
		// publishes to, or its devices. The other server has done its part: it hears
		// of success.
		r.status.update(func(s *Stats) { s.Rejected++ })
		r.leaveOut(&in)
		return mqtt.Success, nil
	}
	m := mqtt.Message{
		Topic: to, Payload: in.payload, Properties: in.props,
		QoS: min(in.qos, rt.qos), Retain: in.retain && !rt.strip, Publisher: r.self,
	}
	if r.twins.second(&in) || in.retain && m.Retain && r.known(&m, in.hasExp) {
		r.status.update(func(s *Stats) { s.Duplicate++ })
		r.leaveOut(&in)
		return mqtt.Success, nil
	}
	if in.retain && r.stale(to, rt) {
		m.Properties = asHeld(in.props)
	}
	if in.hasExp {
		m.Expires = time.Now().Add(time.Duration(in.expiry) * time.Second)
	}
	return r.publish(ctx, in, m)
}

// forged reports whether a message would stand for a reading of this gateway: a
// route as wide as "#" brings back what went up, or what somebody made of it.
func (r *receiver) forged(to string, rt *route) bool {
	if r.base == "" {
		return false
	}
	below := strings.HasPrefix(to, r.base) && strings.HasPrefix(to[len(r.base):], "/")
	return below && !strings.HasSuffix(to, "/set") && !strings.HasPrefix(rt.toName, r.base+"/")
}

// leaveOut remembers the Packet Identifier of a message that is not published
// although the server hears of success: its PUBREL comes, and is not unknown.
func (r *receiver) leaveOut(in *inbound) {
	if in.qos == mqtt.ExactlyOnce {
		r.refused[in.id] = true
	}
}

// known reports whether a retained message is held here already, as it is. To
// publish what the server sends again at each connection would switch again
// what was switched long ago.
func (r *receiver) known(m *mqtt.Message, expires bool) bool {
	if r.held == nil || expires || time.Now().After(r.again) {
		return false
	}
	held := r.held(m.Topic)
	return held != nil && held.Expires.IsZero() && bytes.Equal(held.Payload, m.Payload) && slices.Equal(userProperties(held), userProperties(m))
}

// stale reports whether a retained message is a command to a device of this
// gateway that may be of any age: whoever set a relay last week does not mean it
// today. What was retained while the link was down is not.
func (r *receiver) stale(to string, rt *route) bool {
	return (r.anew || r.v3 && rt.strip) && !time.Now().After(r.again) &&
		r.base != "" && strings.HasPrefix(to, r.base+"/") && strings.HasSuffix(to, "/set")
}

// asHeld adds the property that devices know such commands by.
func asHeld(p *mqtt.Properties) *mqtt.Properties {
	var marked mqtt.Properties
	if p != nil {
		marked = *p
	}
	marked.User = append(slices.Clip(marked.User), mqtt.UserProperty{Name: mqtt.HeldProperty, Value: "1"})
	return &marked
}

func userProperties(m *mqtt.Message) []mqtt.UserProperty {
	if m.Properties == nil {
		return nil
	}
	user := m.Properties.User
	if m.Held() { // it is the last
		user = user[:len(user)-1]
	}
	return user
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
	if err := r.forget(c); err != nil {
		return 0, err
	}
	again, err := false, error(nil)
	if in.qos == mqtt.ExactlyOnce {
		again, err = r.local.PublishFrom(c, m, mqtt.Origin{Session: r.session, ID: in.id})
	} else {
		err = r.local.Publish(c, m)
	}
	var refused *mqtt.Error
	switch {
	case again && err == nil:
		r.twins.first(&in) // after a restart, its copies come yet
		r.status.update(func(s *Stats) { s.Duplicate++ })
		return mqtt.Success, nil
	case err == nil:
		r.twins.first(&in)
		r.status.update(func(s *Stats) { s.Received, s.Taken = s.Received+1, s.Taken+uint64(len(m.Payload)) })
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

// release handles PUBREL: the identifier is free for another message when that
// is durable.
func (r *receiver) release(ctx context.Context, id uint16) (mqtt.ReasonCode, error) {
	if r.local == nil {
		return mqtt.PacketIdentifierNotFound, nil
	}
	c, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	if err := r.forget(c); err != nil {
		return 0, err
	}
	refused := r.refused[id]
	delete(r.refused, id)
	known, err := r.local.Release(c, mqtt.Origin{Session: r.session, ID: id})
	switch {
	case err != nil:
		return 0, failf(ClassLocal, "release an identifier: %w", err)
	case !known && !refused:
		return mqtt.PacketIdentifierNotFound, nil
	}
	return mqtt.Success, nil
}

// subscriptions are what the in routes need upstream. No Local keeps away what
// this bridge sent up itself, Retain As Published lets RETAIN cross. A filter that
// another one covers is not asked for, with the cap of QoS left to the route: many
// servers send a message once for each filter that matches it.
func subscriptions(routes []Route) []mqtt.Subscription {
	var subs []mqtt.Subscription
	for i, r := range routes {
		s, covered := subscription(&r), false
		for j := range routes {
			switch o := &routes[j]; {
			case i == j || r.Share != o.Share:
			case r.From == o.From:
				covered = covered || j < i
				s.QoS = max(s.QoS, subscription(o).QoS)
			case r.Retain != o.Retain: // one wants what is retained, the other does not
			case topic.Covers(o.From, r.From):
				covered = true
			case topic.Covers(r.From, o.From):
				s.QoS = max(s.QoS, subscription(o).QoS)
			}
		}
		if !covered {
			subs = append(subs, s)
		}
	}
	identify(subs)
	return subs
}

func subscription(r *Route) mqtt.Subscription {
	s := mqtt.Subscription{
		Filter: r.From, QoS: mqtt.ExactlyOnce, NoLocal: true,
		RetainAsPublished: true, // and Retain Handling 0: a change of QoS 0 while the link was down is in no session
	}
	if r.QoS != nil {
		s.QoS = *r.QoS
	}
	if r.Retain == StripRetain {
		s.RetainHandling = mqtt.DoNotSendRetained
	}
	if r.Share != "" { // there No Local is a protocol error [MQTT-3.8.3-4]
		s.Filter, s.NoLocal = "$share/"+r.Share+"/"+r.From, false
	}
	return s
}
