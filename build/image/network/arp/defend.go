package arp

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Times of RFC 5227, 1.1, and RFC 3927, 9.
const (
	announceInterval = 2 * time.Second
	defendInterval   = 10 * time.Second
)

// Defend announces an address that is used from now on, twice: others may know
// who had it before. Then it answers the first conflict of each ten seconds with
// another announcement; it returns nil when a second one comes (RFC 5227, 2.4 b).
func Defend(ctx context.Context, c Conn, own net.HardwareAddr, addr netip.Addr) error {
	if err := c.Only(addr); err != nil {
		return err
	}
	var defended time.Time
	for announced := 0; ; announced++ {
		wait := time.Hour
		if announced < 2 {
			if err := announce(c, own, addr); err != nil {
				return err
			}
			wait = announceInterval
		}
		conflict, err := listen(ctx, c, own, addr, conflicts, time.Now().Add(wait))
		if err != nil {
			return err
		}
		if !conflict {
			continue
		}
		now := time.Now()
		if !defended.IsZero() && now.Sub(defended) < defendInterval {
			return nil
		}
		defended = now
		if err := announce(c, own, addr); err != nil {
			return err
		}
	}
}

// announce tells the link that addr is here (RFC 5227, 2.3).
func announce(c Conn, own net.HardwareAddr, addr netip.Addr) error {
	return c.Send(Packet{SenderHardware: own, Sender: addr, Target: addr})
}
