package bridge

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// next reads one packet; v borrows until the next call.
func (u *upstream) next(v *packet.View) error {
	p, err := u.wire.next()
	if err != nil {
		return err
	}
	if err := packet.Decode(p, u.version, v); err != nil && !refuses(v, err) {
		return failf(ClassProtocol, "packet from the server: %w", err)
	}
	if err := v.FromServer(); err != nil {
		return failf(ClassProtocol, "packet from the server: %w", err)
	}
	return nil
}

// refuses reports whether a packet that is wrong is a refusal of a message all
// the same: mosquitto 2.0 answers one above its message_size_limit with PUBACK and
// Packet too large, which PUBACK cannot say. If that ended the link, the message
// would come again on every connection.
func refuses(v *packet.View, err error) bool {
	var wrong *mqtt.Error
	return v.Reason.Failed() && errors.As(err, &wrong) && (wrong.Spec == "MQTT-3.4.2-1" || wrong.Spec == "MQTT-3.5.2-1")
}

// read is the reader: it takes packets until the connection ends. The
// acknowledgements that came together are settled together, before it waits for
// more and when it ends.
func (u *upstream) read() {
	defer close(u.deliveries)
	err := guard(func() error {
		var v packet.View
		for {
			if !u.wire.whole() {
				if err := u.cb.settle(); err != nil {
					return err
				}
				u.cb.settled()
			}
			if err := u.next(&v); err != nil {
				return err
			}
			if err := u.take(&v); err != nil {
				return err
			}
		}
	})
	_ = guard(u.cb.settle) // an error of the queue comes again with its next use
	u.wire.fail(err)
}

// take handles one packet of an established connection.
func (u *upstream) take(v *packet.View) error {
	switch v.Type {
	case packet.PUBLISH:
		return u.takePublish(v)
	case packet.PUBACK:
		u.cb.acknowledged(ackPuback, v.ID, v.Reason, u.wire.heard)
	case packet.PUBREC:
		u.cb.acknowledged(ackPubrec, v.ID, v.Reason, u.wire.heard)
	case packet.PUBCOMP:
		u.cb.acknowledged(ackPubcomp, v.ID, v.Reason, u.wire.heard)
	case packet.PUBREL:
		u.deliveries <- inbound{id: v.ID, rel: true}
	case packet.SUBACK, packet.UNSUBACK:
		if v.ID != subscribeID {
			return failf(ClassProtocol, "SUBACK for the Packet Identifier %d, which nobody used [MQTT-2.2.1-6]", v.ID)
		}
		select {
		case u.subacks <- slices.Clone(v.Reasons):
		default:
			return failf(ClassProtocol, "SUBACK that answers nothing [MQTT-3.8.4-1]")
		}
	case packet.PINGRESP: // the wire has noted that bytes came
	case packet.AUTH:
		return unasked()
	case packet.DISCONNECT:
		if u.version != mqtt.V5 {
			return failf(ClassProtocol, "DISCONNECT from a server of MQTT %s [MQTT311-3.14]", u.version)
		}
		return refusal("DISCONNECT", v)
	default:
		return failf(ClassProtocol, "packet type %d in the middle of a connection [MQTT-3.1.0-2]", v.Type)
	}
	return nil
}

// takePublish passes a message to the deliverer. While that one waits for the
// local broker, nobody reads, and the server's window holds it back.
func (u *upstream) takePublish(v *packet.View) error {
	if v.Properties.Has&packet.HasTopicAlias != 0 {
		return failf(ClassProtocol, "Topic Alias %d from the server, which may use none [MQTT-3.3.2-9]", v.Properties.TopicAlias)
	}
	if u.version == mqtt.V31 && v.Publish.QoS == mqtt.ExactlyOnce && !v.Publish.Dup {
		// Without Session Present only DUP tells a resent message from a new
		// one whose identifier an earlier session has used.
		u.deliveries <- inbound{id: v.ID, rel: true, qos: mqtt.ExactlyOnce}
	}
	m := v.Message(time.Now())
	u.deliveries <- inbound{
		topic: m.Topic, payload: m.Payload, props: m.Properties, qos: m.QoS, retain: m.Retain, id: v.ID, cut: u.wire.cut,
		subs:   slices.Clone(v.Properties.SubscriptionIdentifiers),
		expiry: v.Properties.MessageExpiry, hasExp: v.Properties.Has&packet.HasMessageExpiry != 0,
	}
	return nil
}

// deliver is the deliverer: it publishes what came down, in order, and
// acknowledges it, until the reader has ended.
func (u *upstream) deliver() {
	for in := range u.deliveries {
		if err := guard(func() error { return u.deliverOne(in) }); err != nil {
			// Not acknowledged, so the server sends it again on the next
			// connection; going on would acknowledge out of order.
			u.wire.fail(err)
			break
		}
	}
	for range u.deliveries { // the reader must not wait for nobody
	}
}

func (u *upstream) deliverOne(in inbound) error {
	if in.rel {
		return u.released(in)
	}
	code, err := u.cb.received(in)
	if err != nil {
		return err
	}
	if u.noNack {
		code = mqtt.Success
	}
	a := packet.View{Type: packet.PUBACK, ID: in.id, Reason: code}
	switch in.qos {
	case mqtt.AtMostOnce:
		return nil
	case mqtt.ExactlyOnce:
		a.Type = packet.PUBREC
	}
	if err := u.send(&a); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

// released handles PUBREL in its turn among the messages. With QoS 2 it stands
// for the PUBREL that a server of 3.1 never sent.
func (u *upstream) released(in inbound) error {
	code, err := u.cb.released(in.id)
	if err != nil || in.qos == mqtt.ExactlyOnce {
		return err
	}
	return u.send(&packet.View{Type: packet.PUBCOMP, ID: in.id, Reason: code})
}
