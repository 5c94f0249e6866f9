package conn

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Description is what a session is at one moment.
type Description struct {
	Version        mqtt.Version // of the last connection
	Expiry         time.Duration
	Subscriptions  int
	Waiting, Bytes int // in flight included
	InFlight       int
	Counts         session.Counts
}

// Describe may be called from any goroutine.
func (p *Peer) Describe() Description {
	p.state.Lock()
	defer p.state.Unlock()
	s := p.state.session
	d := Description{
		Version: s.Version(), Expiry: s.Expiry(), Subscriptions: s.Subscribing(), InFlight: s.InFlight(), Counts: s.Counts(),
	}
	d.Waiting, d.Bytes = s.Waiting()
	return d
}
