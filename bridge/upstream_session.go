package bridge

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/log"
	pahosession "github.com/eclipse/paho.golang/paho/session"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

var _ pahosession.SessionManager = (*session)(nil)

// session is paho's view of the session. It holds no messages: those are in
// the Queue, and every packet goes straight to the callbacks.
type session struct {
	u  *upstream
	cb callbacks

	// What Ack shall do for the PUBLISH that publishReceived has just seen;
	// paho calls the two in turn from one goroutine.
	send bool
	code mqtt.ReasonCode

	mu struct {
		sync.Mutex
		reply chan<- packets.ControlPacket // of the SUBSCRIBE that waits
	}
}

// ConAckReceived reports what the CONNACK allows. Resending is not done here:
// nobody reads the connection yet, so it could block for ever.
func (s *session) ConAckReceived(_ io.Writer, _ *packets.Connect, ack *packets.Connack) error {
	l := limits{sessionPresent: ack.SessionPresent, receiveMaximum: 65535, maximumQoS: mqtt.ExactlyOnce, retain: true}
	if p := ack.Properties; p != nil {
		if p.ReceiveMaximum != nil {
			l.receiveMaximum = int(*p.ReceiveMaximum)
		}
		if p.MaximumQOS != nil {
			l.maximumQoS = mqtt.QoS(*p.MaximumQOS)
		}
		if p.RetainAvailable != nil {
			l.retain = *p.RetainAvailable != 0
		}
		if p.MaximumPacketSize != nil {
			l.packetSize = *p.MaximumPacketSize
		}
	}
	if l.receiveMaximum == 0 || !l.maximumQoS.Valid() {
		return failf(ClassProtocol, "CONNACK with a Receive Maximum of %d and a Maximum QoS of %d [MQTT-3.2.2-21]", l.receiveMaximum, l.maximumQoS)
	}
	s.cb.connected(l)
	return nil
}

// ConnectionLost keeps the server's reason and ends a SUBSCRIBE that waits.
func (s *session) ConnectionLost(d *packets.Disconnect) error {
	if d != nil {
		text := ""
		if d.Properties != nil {
			text = d.Properties.ReasonString
		}
		s.u.report(refusal("DISCONNECT", mqtt.ReasonCode(d.ReasonCode), text))
	}
	s.reply(packets.ControlPacket{})
	return nil
}

// AddToSession gives a SUBSCRIBE its identifier; nothing else comes this way.
func (s *session) AddToSession(_ context.Context, p pahosession.Packet, resp chan<- packets.ControlPacket) error {
	if p.Type() != packets.SUBSCRIBE {
		return errors.New("only SUBSCRIBE is sent through the session")
	}
	p.SetIdentifier(subscribeID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.reply = resp
	return nil
}

func (s *session) reply(p packets.ControlPacket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.reply != nil {
		s.mu.reply <- p // one slot, one answer
		s.mu.reply = nil
	}
}

// PacketReceived is called by the reader for every packet with an identifier.
// paho ignores its error, so failures go to the wire.
func (s *session) PacketReceived(cp *packets.ControlPacket, publishes chan<- *packets.Publish) error {
	defer s.u.guard()
	switch p := cp.Content.(type) {
	case *packets.Publish:
		// May wait for publishReceived, whose calls end with the connection.
		publishes <- p
	case *packets.Puback:
		s.cb.acknowledged(ackPuback, p.PacketID, mqtt.ReasonCode(p.ReasonCode))
	case *packets.Pubrec:
		s.cb.acknowledged(ackPubrec, p.PacketID, mqtt.ReasonCode(p.ReasonCode))
	case *packets.Pubcomp:
		s.cb.acknowledged(ackPubcomp, p.PacketID, mqtt.ReasonCode(p.ReasonCode))
	case *packets.Pubrel:
		code := s.cb.released(p.PacketID)
		_, _ = (&packets.Pubcomp{PacketID: p.PacketID, ReasonCode: byte(code), Properties: &packets.Properties{}}).WriteTo(s.u.wire)
	case *packets.Suback, *packets.Unsuback:
		s.reply(*cp)
	}
	return nil
}

// publishReceived runs for each PUBLISH, in order. Ack follows it.
func (s *session) publishReceived(r paho.PublishReceived) (bool, error) {
	defer s.u.guard()
	s.send = false
	p := r.Packet
	in := inbound{topic: p.Topic, payload: p.Payload, qos: mqtt.QoS(p.QoS), retain: p.Retain, id: p.PacketID}
	if p.QoS > 2 || p.Topic == "" {
		s.u.wire.fail(failf(ClassProtocol, "PUBLISH from the server with QoS %d and a topic of %d bytes [MQTT-3.3.1-4]", p.QoS, len(p.Topic)))
		return true, nil
	}
	if x := p.Properties; x != nil {
		if x.MessageExpiry != nil {
			in.expiry, in.hasExp = *x.MessageExpiry, true
		}
		in.props = properties(x)
	}
	code, err := s.cb.received(in)
	if err != nil {
		// Not acknowledged, so the server sends it again on the next
		// connection; going on would acknowledge out of order.
		s.u.wire.fail(err)
		return true, nil
	}
	s.send, s.code = true, code
	return true, nil
}

// Ack sends PUBACK or PUBREC for what publishReceived accepted or refused.
func (s *session) Ack(p *packets.Publish) error {
	defer s.u.guard()
	if !s.send {
		return nil
	}
	var err error
	switch p.QoS {
	case 1:
		_, err = (&packets.Puback{PacketID: p.PacketID, ReasonCode: byte(s.code), Properties: &packets.Properties{}}).WriteTo(s.u.wire)
	case 2:
		_, err = (&packets.Pubrec{PacketID: p.PacketID, ReasonCode: byte(s.code), Properties: &packets.Properties{}}).WriteTo(s.u.wire)
	}
	return err // ignored by paho; the wire has reported it
}

func properties(x *paho.PublishProperties) *mqtt.Properties {
	if x.ContentType == "" && x.ResponseTopic == "" && x.CorrelationData == nil && x.PayloadFormat == nil && len(x.User) == 0 {
		return nil
	}
	p := &mqtt.Properties{ContentType: x.ContentType, ResponseTopic: x.ResponseTopic, CorrelationData: x.CorrelationData}
	if x.PayloadFormat != nil {
		p.PayloadFormat, p.HasFormat = *x.PayloadFormat, true
	}
	for _, u := range x.User {
		p.User = append(p.User, mqtt.UserProperty{Name: u.Key, Value: u.Value})
	}
	return p
}

// Close has nothing to release.
func (s *session) Close() error { return nil }

// SetErrorLogger is not used: errors are reported with a class.
func (s *session) SetErrorLogger(log.Logger) {}

// SetDebugLogger is not used.
func (s *session) SetDebugLogger(log.Logger) {}
