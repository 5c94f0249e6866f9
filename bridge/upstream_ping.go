package bridge

import (
	"context"
	"net"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/log"
)

// pingTimeout is how long the server may stay silent after a PINGREQ.
const pingTimeout = 10 * time.Second

// pinger keeps the connection alive by what really crossed the wire: it pings
// when either direction has been idle for the Keep Alive, and any byte from
// the server counts as a sign of life, since a PINGRESP may be queued behind a
// large packet on a slow link.
type pinger struct{ wire *wire }

// Run implements paho.Pinger.
func (p *pinger) Run(ctx context.Context, _ net.Conn, keepAlive uint16) error {
	if keepAlive == 0 {
		return nil
	}
	interval := time.Duration(keepAlive) * time.Second
	for {
		idle := time.Unix(0, min(p.wire.lastRead.Load(), p.wire.lastWrite.Load()))
		if err := sleep(ctx, time.Until(idle.Add(interval))); err != nil {
			return nil // closed by us
		}
		idle = time.Unix(0, min(p.wire.lastRead.Load(), p.wire.lastWrite.Load()))
		if time.Since(idle) < interval {
			continue
		}
		if err := p.ping(ctx); err != nil {
			p.wire.fail(err) // paho would report the closed connection first
			return err
		}
	}
}

func (p *pinger) ping(ctx context.Context) error {
	before := p.wire.lastRead.Load()
	if _, err := packets.NewControlPacket(packets.PINGREQ).WriteTo(p.wire); err != nil {
		return err
	}
	if err := sleep(ctx, pingTimeout); err != nil {
		return nil
	}
	// While nobody reads, because the local broker is slow, the silence is ours.
	if p.wire.lastRead.Load() == before && p.wire.waiting.Load() {
		return failf(ClassTimeout, "no PINGRESP within %v [MQTT-3.1.2-22]", pingTimeout)
	}
	return nil
}

// PacketSent implements paho.Pinger; the wire knows better.
func (p *pinger) PacketSent() {}

// PacketReceived implements paho.Pinger.
func (p *pinger) PacketReceived() {}

// PingResp implements paho.Pinger.
func (p *pinger) PingResp() {}

// SetDebug implements paho.Pinger.
func (p *pinger) SetDebug(log.Logger) {}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
