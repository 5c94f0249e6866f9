package bridge

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// send hands one packet other than PUBLISH to the wire, without waiting.
func (u *upstream) send(v *packet.View) error {
	return u.wire.write(packet.Append(nil, u.version, v))
}

// encode returns o as a PUBLISH packet; the bytes are valid until the next
// call. Only the sender calls it.
func (u *upstream) encode(o *outgoing) ([]byte, error) {
	m := mqtt.Message{Topic: o.topic, Payload: o.payload, Properties: u.properties(o)}
	h := packet.PublishHeader{ID: o.id, QoS: o.qos, Dup: o.dup, Retain: o.retain, Expiry: o.expiry, HasExpiry: o.hasExp}
	h.TopicAlias, h.OmitTopic = u.aliases.of(o.topic)
	u.scratch = packet.AppendPublish(u.scratch[:0], u.version, &m, &h)
	if cap(u.scratch) > wireKeep {
		defer func() { u.scratch = nil }()
	}
	return u.scratch, nil
}

// properties are those of the message with the bridge's own.
func (u *upstream) properties(o *outgoing) *mqtt.Properties {
	if len(o.add) == 0 {
		return o.props
	}
	user := u.props.User[:0]
	u.props = mqtt.Properties{}
	if o.props != nil {
		u.props = *o.props
		for _, x := range o.props.User {
			if !slices.ContainsFunc(o.add, func(a mqtt.UserProperty) bool { return a.Name == x.Name }) {
				user = append(user, x)
			}
		}
	}
	u.props.User = append(user, o.add...)
	return &u.props
}

// write hands one encoded packet to the wire, waiting for room. It leaves with
// others, at the next push at the latest; end is where it does.
func (u *upstream) write(publish []byte) (end int64, err error) {
	u.aliases.used()
	end, n, err := u.wire.put(publish, true)
	switch {
	case n < wireCork:
	case u.hasty:
		u.wire.offer()
	default:
		u.wire.push()
		err = u.wire.room()
	}
	return end, err
}

// push lets everything that was written leave.
func (u *upstream) push() { u.wire.push() }

// sync waits until all that was written has left.
func (u *upstream) sync() error { return u.wire.sync() }

// release sends PUBREL.
func (u *upstream) release(id uint16) error {
	return u.send(&packet.View{Type: packet.PUBREL, ID: id})
}

var (
	errWildcards = errors.New("the server has no wildcard subscriptions")
	errTooLarge  = errors.New("the server takes no packet of this size")
)

// subscribe sends one SUBSCRIBE and waits for its SUBACK, at most 10 s. The
// codes are in the order of subs. An error that is not a *failure means that
// the server cannot do what was asked; the connection stays up.
func (u *upstream) subscribe(ctx context.Context, subs []mqtt.Subscription) ([]mqtt.ReasonCode, error) {
	v := &packet.View{Type: packet.SUBSCRIBE, ID: subscribeID}
	if id := subs[0].Identifier; id > 0 {
		v.Properties.Has, v.Properties.SubscriptionIdentifiers = packet.HasSubscriptionIdentifier, []uint32{id}
	}
	for _, s := range subs {
		if !u.lim.wildcard && strings.ContainsAny(s.Filter, "+#") {
			return nil, errWildcards
		}
		v.Filters = append(v.Filters, packet.Filter{
			Filter: []byte(s.Filter), QoS: s.QoS, NoLocal: s.NoLocal,
			RetainAsPublished: s.RetainAsPublished, RetainHandling: s.RetainHandling,
		})
	}
	if n := int(u.lim.packetSize); n > 0 && len(packet.Append(nil, u.version, v)) > n { // [MQTT-3.2.2-15]
		return nil, errTooLarge
	}
	codes, err := u.asks(ctx, v)
	if err == nil && len(codes) != len(subs) {
		err = failf(ClassProtocol, "SUBACK with %d codes for %d filters [MQTT-3.8.4-6]", len(codes), len(subs))
	}
	return codes, err
}

// unsubscribe sends one UNSUBSCRIBE and waits for its UNSUBACK, at most 10 s:
// whatever it says, the filter is not there.
func (u *upstream) unsubscribe(ctx context.Context, subs []mqtt.Subscription) ([]mqtt.ReasonCode, error) {
	v := &packet.View{Type: packet.UNSUBSCRIBE, ID: subscribeID}
	for _, s := range subs {
		v.Filters = append(v.Filters, packet.Filter{Filter: []byte(s.Filter)})
	}
	return u.asks(ctx, v)
}

// asks sends SUBSCRIBE or UNSUBSCRIBE and waits for the codes of the answer.
func (u *upstream) asks(ctx context.Context, v *packet.View) ([]mqtt.ReasonCode, error) {
	if err := u.send(v); err != nil {
		return nil, failf(ClassTCP, "subscribe: %w", err)
	}
	limit := time.NewTimer(subackTimeout)
	defer limit.Stop()
	select {
	case codes := <-u.subacks:
		return codes, nil
	case <-limit.C:
		return nil, failf(ClassTimeout, "no SUBACK within %v", subackTimeout)
	case <-ctx.Done():
		return nil, failf(ClassTCP, "subscribe: %w", ctx.Err())
	}
}
