package cloudtest

import (
	"maps"
	"slices"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// session is what the server keeps of a client; the Cloud's lock guards it.
type session struct {
	id       string
	filters  []mqtt.Subscription
	received map[uint16]bool // QoS 2 identifiers taken and not released
	outbox   []outbound      // for the client, in order
	lastID   uint16
	will     *mqtt.Will
	conn     *conn // nil while away
}

// outbound is a message for a client.
type outbound struct {
	m        mqtt.Message
	id       uint16
	sent     bool
	released bool // PUBREC came
}

func (s *session) subscribe(sub mqtt.Subscription) (fresh bool) {
	i := slices.IndexFunc(s.filters, func(o mqtt.Subscription) bool { return o.Filter == sub.Filter })
	if i < 0 {
		s.filters = append(s.filters, sub)
		return true
	}
	s.filters[i] = sub
	return false
}

// sendRetained is called with the lock held.
func (c *Cloud) sendRetained(s *session, sub mqtt.Subscription) {
	for _, name := range slices.Sorted(maps.Keys(c.mu.retained)) {
		if topic.Match(sub.Filter, name) {
			m := c.mu.retained[name]
			m.QoS, m.Retain = min(m.QoS, sub.QoS), true
			s.queue(m)
		}
	}
}

// publishWill is called with the lock held.
func (c *Cloud) publishWill(s *session) {
	if w := s.will; w != nil {
		s.will = nil
		c.route(w.Message, "")
	}
}

// queue takes a message for the client.
func (s *session) queue(m mqtt.Message) {
	if m.QoS == mqtt.AtMostOnce {
		if s.conn != nil {
			s.conn.send(outbound{m: m}.view(false))
		}
		return
	}
	s.lastID = s.lastID%65000 + 1
	s.outbox = append(s.outbox, outbound{m: m, id: s.lastID})
	s.pump()
}

// pump sends what the client's Receive Maximum allows.
func (s *session) pump() {
	if s.conn == nil {
		return
	}
	for i := range s.outbox {
		if o := &s.outbox[i]; !o.sent && i < s.conn.quota {
			o.sent = true
			s.conn.send(o.view(false))
		}
	}
}

// resend begins a resumed connection.
func (s *session) resend() {
	for i := range s.outbox {
		o := &s.outbox[i]
		switch {
		case !o.sent:
		case o.released:
			s.conn.send(&packet.View{Type: packet.PUBREL, ID: o.id})
		default:
			s.conn.send(o.view(true))
		}
	}
	s.pump()
}

func (o outbound) view(dup bool) *packet.View {
	v := &packet.View{Type: packet.PUBLISH, ID: o.id, Publish: packet.Publish{
		Topic: []byte(o.m.Topic), Payload: o.m.Payload, QoS: o.m.QoS, Retain: o.m.Retain, Dup: dup,
	}}
	if o.m.Properties != nil {
		v.Properties.Has |= packet.HasUser
		for _, u := range o.m.Properties.User {
			v.Properties.User = append(v.Properties.User, packet.UserProperty{Name: []byte(u.Name), Value: []byte(u.Value)})
		}
	}
	return v
}

// acknowledged takes PUBACK, PUBREC or PUBCOMP of the client.
func (n *conn) acknowledged(v *packet.View) bool {
	if v.Reason.Failed() && n.c.limits.NackCloses {
		n.c.violate("acknowledgement with the failure 0x%02x", byte(v.Reason))
		return n.goodbye(mqtt.ProtocolError)
	}
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	s := n.session
	i := slices.IndexFunc(s.outbox, func(o outbound) bool { return o.id == v.ID && o.sent })
	if i < 0 {
		return true
	}
	if v.Type == packet.PUBREC && !v.Reason.Failed() {
		s.outbox[i].released = true
		n.send(&packet.View{Type: packet.PUBREL, ID: v.ID})
		return true
	}
	s.outbox = slices.Delete(s.outbox, i, i+1)
	s.pump()
	return true
}
