package cloudtest

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

func (n *conn) connect(v *packet.View, f Faults) bool {
	if n.session != nil {
		n.c.violate("a second CONNECT [MQTT-3.1.0-2]")
		return n.goodbye(mqtt.ProtocolError)
	}
	k := &v.Connect
	n.version, n.bridge = k.Version, k.Bridge
	seen := Connect{
		Conn: n.number, At: time.Now(), Clean: k.CleanStart, Version: k.Version, ClientID: string(k.ClientID), Username: string(k.Username), Password: string(k.Password),
		Bridge: k.Bridge, KeepAlive: k.KeepAlive, Will: v.Will(),
	}
	n.c.mu.Lock()
	n.c.mu.connects = append(n.c.mu.connects, seen)
	n.c.mu.Unlock()
	code := f.Connack
	if code == mqtt.Success {
		code = n.c.limits.judgeConnect(n.c, v, &seen)
	}
	if code != mqtt.Success {
		n.send(n.refusal(code, f))
		return false
	}
	if code = f.refusesWill(seen.Will); code != mqtt.Success {
		if n.version == mqtt.V5 { // before, mosquitto says nothing
			n.send(n.refusal(code, f))
		}
		return false
	}
	n.quota = 65535
	if v.Properties.Has&packet.HasReceiveMaximum != 0 {
		n.quota = int(v.Properties.ReceiveMaximum)
	}
	present := n.resume(&seen, k.CleanStart || f.SessionLost)
	n.send(n.connack(present, f))
	n.since = time.Now()
	if f.Flap > 0 {
		time.AfterFunc(f.Flap, func() { _ = n.nc.Close() })
	}
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.session.resend()
	return true
}

// refusesWill is the answer to a will that the server cannot publish
// [MQTT-3.2.2-12] [MQTT-3.2.2-13].
func (f *Faults) refusesWill(w *mqtt.Will) mqtt.ReasonCode {
	switch {
	case w == nil:
	case f.NoRetain && w.Message.Retain:
		return mqtt.RetainNotSupported
	case f.MaximumQoS != nil && w.Message.QoS > *f.MaximumQoS:
		return mqtt.QoSNotSupported
	}
	return mqtt.Success
}

func (n *conn) refusal(code mqtt.ReasonCode, f Faults) *packet.View {
	a := &packet.View{Type: packet.CONNACK, Reason: code}
	if f.Reference != "" {
		a.Properties.Has, a.Properties.ServerReference = packet.HasServerReference, []byte(f.Reference)
	}
	return a
}

// resume finds or makes the session and takes over from an older connection.
func (n *conn) resume(k *Connect, fresh bool) (present bool) {
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.sessions[k.ClientID]
	if s != nil && s.conn != nil {
		old := s.conn
		if old.version == mqtt.V5 {
			old.send(&packet.View{Type: packet.DISCONNECT, Reason: mqtt.SessionTakenOver})
		}
		old.hangUp()
		c.publishWill(s)
	}
	present = s != nil && !fresh
	if !present {
		s = &session{id: k.ClientID, received: map[uint16]bool{}}
		c.mu.sessions[k.ClientID] = s
		c.journal.session(k.ClientID)
	}
	s.conn, n.session = n, s
	s.will = k.Will
	return present
}

func (n *conn) connack(present bool, f Faults) *packet.View {
	a := &packet.View{Type: packet.CONNACK, SessionPresent: present}
	l, p := &n.c.limits, &a.Properties
	if r := max(f.ReceiveMaximum, l.ReceiveMaximum); r > 0 {
		p.Has |= packet.HasReceiveMaximum
		p.ReceiveMaximum = r
		if f.ReceiveMaximum > 0 {
			p.ReceiveMaximum = f.ReceiveMaximum
		}
	}
	if size := max(f.PacketSize, l.PacketSize); size > 0 {
		p.Has |= packet.HasMaximumPacketSize
		p.MaximumPacketSize = size
	}
	if q := f.MaximumQoS; q != nil {
		p.Has |= packet.HasMaximumQoS
		p.MaximumQoS = *q
	} else if l.AnnounceQoS && l.MaximumQoS < mqtt.ExactlyOnce {
		p.Has |= packet.HasMaximumQoS
		p.MaximumQoS = l.MaximumQoS
	}
	if f.NoRetain || l.AnnounceNoRetain {
		p.Has |= packet.HasRetainAvailable
	}
	if f.KeepAlive > 0 {
		p.Has |= packet.HasServerKeepAlive
		p.ServerKeepAlive = f.KeepAlive
	}
	return a
}

func (n *conn) subscribe(v *packet.View) bool {
	if reason := n.c.limits.judgeSubscribe(n, v); reason != "" {
		n.c.violate("SUBSCRIBE: %s", reason)
		return n.goodbye(mqtt.QuotaExceeded)
	}
	a := &packet.View{Type: packet.SUBACK, ID: v.ID}
	n.c.mu.Lock()
	s := n.session
	for _, f := range v.Filters {
		sub := mqtt.Subscription{
			Filter: string(f.Filter), QoS: min(f.QoS, n.c.limits.granted()), NoLocal: f.NoLocal,
			RetainAsPublished: f.RetainAsPublished, RetainHandling: f.RetainHandling,
		}
		// The bridge bit stands for No Local and Retain As Published in 3.x.
		if n.version != mqtt.V5 && n.bridge {
			sub.NoLocal, sub.RetainAsPublished = true, true
		}
		fresh := s.subscribe(sub)
		a.Reasons = append(a.Reasons, mqtt.ReasonCode(sub.QoS))
		if sub.RetainHandling == mqtt.SendRetained || sub.RetainHandling == mqtt.SendRetainedIfNew && fresh {
			defer n.c.sendRetained(s, sub)
		}
	}
	defer n.c.mu.Unlock()
	n.send(a)
	return true
}
