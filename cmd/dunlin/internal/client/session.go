package client

import (
	"sync"

	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Session is what a client must remember across Network Connections
// [MQTT-4.1.0-1]: its unacknowledged publications and the QoS 2 messages
// whose release it waits for. The zero value is an empty session.
type Session struct {
	mu struct {
		sync.Mutex
		lastID   uint16
		inUse    map[uint16]bool     // Packet Identifiers of this side
		outgoing []*outgoing         // in the order they were first sent
		incoming map[uint16]*Message // PUBREC sent, PUBREL not yet consumed
	}
}

// outgoing is one QoS 1 or 2 publication without its final acknowledgement.
type outgoing struct {
	id       uint16
	p        Publication
	received bool // PUBREC came: only PUBREL may be sent now [MQTT-4.3.3-6]
}

func (o *outgoing) view(dup bool) *packet.View {
	if o.received {
		return &packet.View{Type: packet.PUBREL, ID: o.id}
	}
	v := publishView(&o.p, o.id)
	v.Publish.Dup = dup
	return v
}

func publishView(p *Publication, id uint16) *packet.View {
	return &packet.View{
		Type: packet.PUBLISH, ID: id, Properties: p.Properties,
		Publish: packet.Publish{Topic: []byte(p.Topic), Payload: p.Payload, QoS: p.QoS, Retain: p.Retain},
	}
}

// newID takes an unused Packet Identifier [MQTT-2.2.1-3]. The window and the
// few subscriptions of a tool leave most of the 65535 free.
func (s *Session) newID() uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.inUse == nil {
		s.mu.inUse = make(map[uint16]bool)
	}
	for {
		s.mu.lastID++
		if id := s.mu.lastID; id != 0 && !s.mu.inUse[id] {
			s.mu.inUse[id] = true
			return id
		}
	}
}

func (s *Session) freeID(id uint16) {
	s.mu.Lock()
	delete(s.mu.inUse, id)
	s.mu.Unlock()
}

func (s *Session) add(p Publication) *outgoing {
	o := &outgoing{id: s.newID(), p: p}
	s.mu.Lock()
	s.mu.outgoing = append(s.mu.outgoing, o)
	s.mu.Unlock()
	return o
}

// pending returns the unacknowledged publications in order.
func (s *Session) pending() []*outgoing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*outgoing(nil), s.mu.outgoing...)
}

// markReceived records a PUBREC; false when no such publication waits for it.
func (s *Session) markReceived(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.mu.outgoing {
		if o.id == id && o.p.QoS == 2 {
			o.received = true
			return true
		}
	}
	return false
}

// done forgets a publication; false when it was not there.
func (s *Session) done(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.mu.outgoing {
		if o.id == id {
			s.mu.outgoing = append(s.mu.outgoing[:i], s.mu.outgoing[i+1:]...)
			delete(s.mu.inUse, id)
			return true
		}
	}
	return false
}

// lost is called when the server does not know the session any more. A
// message that the server had received is its own since PUBREC; the others
// are sent again.
func (s *Session) lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.mu.incoming)
	keep := s.mu.outgoing[:0]
	for _, o := range s.mu.outgoing {
		if o.received {
			delete(s.mu.inUse, o.id)
			continue
		}
		keep = append(keep, o)
	}
	s.mu.outgoing = keep
}

// hold keeps a QoS 2 message until its release; a resend replaces nothing
// [MQTT-4.3.3-10].
func (s *Session) hold(m *Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.incoming == nil {
		s.mu.incoming = make(map[uint16]*Message)
	}
	if s.mu.incoming[m.ID] == nil {
		s.mu.incoming[m.ID] = m
	}
}

func (s *Session) held(id uint16) *Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.incoming[id]
}

func (s *Session) release(id uint16) {
	s.mu.Lock()
	delete(s.mu.incoming, id)
	s.mu.Unlock()
}
