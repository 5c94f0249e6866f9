package broker

import (
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// willDue publishes a will whose delay has passed.
func (h *hub) willDue(cl *client) {
	r := &h.registry
	r.Lock()
	if cl.endpoint != nil || cl.will == nil {
		r.Unlock()
		return
	}
	will := h.bequeath(cl)
	r.Unlock()
	h.publishWill(will)
}

// bequest is a will with who left it.
type bequest struct {
	*mqtt.Will // nil for none
	id         string
	door       *listener // nil: a client of this process, or not known
	who        *Identity
}

// bequeath takes the will from cl; the caller holds the registry.
func (h *hub) bequeath(cl *client) bequest {
	b := bequest{cl.will, cl.peer.ClientID(), cl.door, cl.who}
	h.setWill(cl, nil)
	return b
}

// publishWill publishes w, if who left it may still do so.
func (h *hub) publishWill(w bequest) {
	if w.Will == nil {
		return
	}
	defer h.willGone(w.id)
	if w.door != nil {
		if err := w.door.mayPublish(w.id, w.who, w.Message.Topic, w.Message.QoS, w.Message.Retain); err != nil {
			h.willsRefused.Add(1)
			h.log.Warn("will not published", "client_id", w.id, "topic", w.Message.Topic, "err", err.Msg)
			return
		}
	}
	now := time.Now()
	m := w.Message
	m.Publisher = w.id
	m.Shareable(new(atomic.Int32))
	switch w.ExpiryInterval {
	case 0:
	case 1: // the 0 of a CONNECT: it has expired also for a loop that read the clock before
		m.Expires = now.Add(-time.Second)
	default:
		m.Expires = now.Add(w.ExpiryInterval)
	}
	p := new(packet.Publication).Own(&m)
	if w.who != nil {
		p.User = w.who.Name()
	}
	h.router.Publish(now, p)
	h.log.Debug("will published", "client_id", w.id, "topic", m.Topic)
}
