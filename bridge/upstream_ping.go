package bridge

import (
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// pingTimeout is how long the server may stay silent after a PINGREQ.
const pingTimeout = 10 * time.Second

// slowestLink is the rate, in bytes/s, of the slowest link that must not look
// dead: GPRS with a weak signal.
const slowestLink = 2 << 10

// ping is the pinger. It goes by what really crossed the wire: it pings when
// either direction has been idle for the Keep Alive, and any byte from the
// server counts as a sign of life, since a PINGRESP may be queued behind a
// large packet on a slow link.
func (u *upstream) ping(ctx context.Context) {
	interval := u.lim.keepAlive
	for {
		idle := time.Unix(0, min(u.wire.lastRead.Load(), u.wire.lastWrite.Load()))
		if left := interval - time.Since(idle); left > 0 {
			if sleep(ctx, left) != nil {
				return // closed by us
			}
			continue
		}
		if err := u.pingOnce(ctx); err != nil {
			u.wire.fail(err)
			return
		}
	}
}

func (u *upstream) pingOnce(ctx context.Context) error {
	before := u.wire.lastRead.Load()
	if err := u.send(&packet.View{Type: packet.PINGREQ}); err != nil {
		return err
	}
	if err := u.wire.sync(); err != nil {
		return err
	}
	// What the kernel holds back on a slow link leaves before the PINGREQ.
	held := time.Duration(u.wire.unheard()) * time.Second / slowestLink
	// A Keep Alive shorter than that goes on meanwhile.
	for left := pingTimeout + held; left > 0 && u.wire.lastRead.Load() == before; left -= u.lim.keepAlive {
		if err := sleep(ctx, min(left, u.lim.keepAlive)); err != nil {
			return err
		}
	}
	// While nobody reads, because the local broker is slow, the silence is ours.
	if u.wire.lastRead.Load() == before && u.wire.waiting.Load() {
		return failf(ClassTimeout, "no PINGRESP within %v [MQTT-3.1.2-22]", pingTimeout)
	}
	return nil
}

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
