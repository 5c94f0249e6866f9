package session

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Step takes one control packet after CONNECT, as decoded and with a legal
// topic, and appends to out what must happen because of it. The error is an
// *mqtt.Error: the connection must end with its code.
func (s *Session) Step(_ time.Time, p *packet.View, out []Effect) ([]Effect, error) {
	switch p.Type {
	case packet.PUBLISH:
		if p.Publish.QoS < mqtt.ExactlyOnce {
			return Publish(p, out), nil
		}
		return s.publish(p, out), nil
	case packet.PUBACK:
		return s.acknowledged(p, s.out.acknowledge(SentID(p.ID), mqtt.AtLeastOnce), out)
	case packet.PUBREC:
		return s.pubrec(p, out)
	case packet.PUBREL:
		return s.pubrel(p, out), nil
	case packet.PUBCOMP:
		return s.acknowledged(p, s.out.complete(SentID(p.ID)), out)
	case packet.SUBSCRIBE:
		return s.subscribe(p, out)
	case packet.UNSUBSCRIBE:
		return s.unsubscribe(p, out), nil
	case packet.PINGREQ:
		return append(out, Effect{Kind: Pong}), nil
	case packet.DISCONNECT:
		return s.disconnect(p, out)
	case packet.CONNECT:
		return out, mqtt.Errorf(mqtt.ProtocolError, "MQTT-3.1.0-2", "second CONNECT")
	case packet.AUTH:
		return out, mqtt.Errorf(mqtt.ProtocolError, "MQTT-4.12.0-1", "AUTH without an Authentication Method in CONNECT")
	}
	return out, mqtt.Errorf(mqtt.ProtocolError, "", "packet type %d is sent by servers only", p.Type)
}

// Publish is Step for a PUBLISH below QoS 2: it leaves no trace in a session.
func Publish(p *packet.View, out []Effect) []Effect {
	if p.Publish.QoS == mqtt.AtMostOnce {
		return append(out, Effect{Kind: Route})
	}
	return append(out, Effect{Kind: Route}, Effect{Kind: Acknowledge, Type: packet.PUBACK, ID: p.ID})
}

func (s *Session) publish(p *packet.View, out []Effect) []Effect {
	// The identifier is what makes a second PUBLISH the same message, whatever
	// its DUP flag says [MQTT-4.3.3-10].
	id := ReceivedID(p.ID)
	if _, again := s.received[id]; !again {
		if s.received == nil {
			s.received = make(map[ReceivedID]struct{})
		}
		s.received[id] = struct{}{}
		out = append(out, Effect{Kind: Route})
		out = s.persist(out, PacketReceived, uint64(p.ID))
	}
	return append(out, Effect{Kind: Acknowledge, Type: packet.PUBREC, ID: p.ID})
}

func (s *Session) pubrel(p *packet.View, out []Effect) []Effect {
	ack := Effect{Kind: Acknowledge, Type: packet.PUBCOMP, ID: p.ID}
	if _, ok := s.received[ReceivedID(p.ID)]; ok {
		delete(s.received, ReceivedID(p.ID))
		out = s.persist(out, PacketReleased, uint64(p.ID))
	} else {
		ack.Reason = mqtt.PacketIdentifierNotFound
	}
	return append(out, ack)
}

func (s *Session) pubrec(p *packet.View, out []Effect) ([]Effect, error) {
	if p.Reason.Failed() {
		// A refusal ends the exchange, the identifier is free [MQTT-4.3.3-4].
		return s.acknowledged(p, s.out.acknowledge(SentID(p.ID), mqtt.ExactlyOnce), out)
	}
	ack := Effect{Kind: Acknowledge, Type: packet.PUBREL, ID: p.ID}
	if number := s.out.received(SentID(p.ID)); number > 0 {
		out = s.persist(out, DeliveryReceived, number)
	} else if s.out.find(SentID(p.ID)) >= 0 {
		return out, errOutOfPlace
	} else {
		ack.Reason = mqtt.PacketIdentifierNotFound
	}
	return append(out, ack), nil
}

// errOutOfPlace ends a connection that would otherwise stand still: what is not
// acknowledged as its QoS wants it stays in flight, until Receive Maximum is
// used up.
var errOutOfPlace = mqtt.Errorf(mqtt.ProtocolError, "MQTT-4.13.1-1", "an acknowledgement that the QoS of the message, or what has come before, has no place for")

// acknowledged ends the delivery of that number; 0 is what is not in flight,
// and may have been acknowledged before, or not as its exchange has it.
func (s *Session) acknowledged(p *packet.View, number uint64, out []Effect) ([]Effect, error) {
	if number == 0 && s.out.find(SentID(p.ID)) >= 0 {
		return out, errOutOfPlace
	}
	return s.ready(s.persist(out, DeliveryDone, number)), nil
}

// ready asks for a look at Next if the room that the client made is waited for.
func (s *Session) ready(out []Effect) []Effect {
	if o := &s.out; o.queue.len() == 0 && int(o.resend) == o.inflight.len() {
		return out
	}
	return append(out, Effect{Kind: Ready})
}

func (s *Session) disconnect(p *packet.View, out []Effect) ([]Effect, error) {
	if p.Properties.Has&packet.HasSessionExpiry != 0 {
		d := seconds(p.Properties.SessionExpiry)
		if s.params.Expiry == 0 && d > 0 {
			return out, mqtt.Errorf(mqtt.ProtocolError, "MQTT-3.14.2-2", "Session Expiry Interval set at DISCONNECT after 0 at CONNECT")
		}
		// It may be shortened and lengthened, but not beyond the server's limit,
		// which the connection has put into the property already.
		s.params.Expiry = d
	}
	return append(out, Effect{Kind: End, Reason: p.Reason}), nil
}

// persist asks for a change of durable state; number 0 is none.
func (s *Session) persist(out []Effect, c Change, number uint64) []Effect {
	if number == 0 || !s.recorded() {
		return out
	}
	return append(out, Effect{Kind: Persist, Change: c, Number: number})
}
