package arp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// conflicts says whether p shows that another host has, or wants, addr
// (RFC 5227, 2.1.1). One's own packets come back from some switches.
func conflicts(p Packet, own net.HardwareAddr, addr netip.Addr) bool {
	if bytes.Equal(p.SenderHardware, own) {
		return false
	}
	probe := !p.Reply && p.Sender.IsUnspecified() && p.Target == addr
	return p.Sender == addr || probe
}

// Taken asks the link probes times, pause apart, whether another host has
// addr, and listens for as long again after the last.
func Taken(ctx context.Context, c Conn, own net.HardwareAddr, addr netip.Addr, probes int, pause time.Duration) (bool, error) {
	for range probes {
		if err := c.Send(Packet{SenderHardware: own, Sender: netip.IPv4Unspecified(), Target: addr}); err != nil {
			return false, err
		}
		conflict, err := listen(ctx, c, own, addr, time.Now().Add(pause))
		if conflict || err != nil {
			return conflict, err
		}
	}
	return false, nil
}

// listen waits until end for a packet that conflicts with addr. A context
// that ends is noticed within a second.
func listen(ctx context.Context, c Conn, own net.HardwareAddr, addr netip.Addr, end time.Time) (bool, error) {
	for time.Now().Before(end) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		slice := time.Now().Add(time.Second)
		if end.Before(slice) {
			slice = end
		}
		p, err := c.Receive(slice)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return false, err
		}
		if conflicts(p, own, addr) {
			return true, nil
		}
	}
	return false, nil
}

// Announce tells the link that addr is now here (RFC 5227, 2.3).
func Announce(c Conn, own net.HardwareAddr, addr netip.Addr) error {
	return c.Send(Packet{SenderHardware: own, Sender: addr, Target: addr})
}
