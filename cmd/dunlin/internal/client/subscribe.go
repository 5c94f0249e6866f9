package client

import (
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Subscribe sends one SUBSCRIBE for all subs and returns its Packet
// Identifier; the answer comes from Next. Subscription Identifiers belong
// into props, since SUBSCRIBE carries one for all its filters.
func (c *Conn) Subscribe(subs []mqtt.Subscription, props packet.Properties) (uint16, error) {
	v := packet.View{Type: packet.SUBSCRIBE, ID: c.session.newID(), Properties: props}
	for _, s := range subs {
		v.Filters = append(v.Filters, packet.Filter{
			Filter: []byte(s.Filter), QoS: s.QoS, NoLocal: s.NoLocal,
			RetainAsPublished: s.RetainAsPublished, RetainHandling: s.RetainHandling,
		})
	}
	return v.ID, c.write(&v)
}

// Unsubscribe sends UNSUBSCRIBE and returns its Packet Identifier; the answer
// comes from Next.
func (c *Conn) Unsubscribe(filter string, props packet.Properties) (uint16, error) {
	v := packet.View{
		Type: packet.UNSUBSCRIBE, ID: c.session.newID(), Properties: props,
		Filters: []packet.Filter{{Filter: []byte(filter)}},
	}
	return v.ID, c.write(&v)
}
