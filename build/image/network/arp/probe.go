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

// conflicts says whether p shows that another host has addr (RFC 5227, 2.4).
// One's own packets come back from some switches.
func conflicts(p Packet, own net.HardwareAddr, addr netip.Addr) bool {
	return p.Sender == addr && !bytes.Equal(p.SenderHardware, own)
}

// wanted says whether p shows that another host has addr, or is about to
// (2.1.1). Who has addr already only answers such a probe, which the kernel does.
func wanted(p Packet, own net.HardwareAddr, addr netip.Addr) bool {
	probe := !p.Reply && p.Sender.IsUnspecified() && p.Target == addr && !bytes.Equal(p.SenderHardware, own)
	return probe || conflicts(p, own, addr)
}

// Taken asks the link probes times, pause apart, whether another host has
// addr, and listens for as long again after the last.
func Taken(ctx context.Context, c Conn, own net.HardwareAddr, addr netip.Addr, probes int, pause time.Duration) (bool, error) {
	if err := c.Only(addr); err != nil {
		return false, err
	}
	for range probes {
		if err := c.Send(Packet{SenderHardware: own, Sender: netip.IPv4Unspecified(), Target: addr}); err != nil {
			return false, err
		}
		conflict, err := listen(ctx, c, own, addr, wanted, time.Now().Add(pause))
		if conflict || err != nil {
			return conflict, err
		}
	}
	return false, nil
}

// listen waits until end for a packet that says what is listened for of addr. A
// context that ends is noticed within a second.
func listen(ctx context.Context, c Conn, own net.HardwareAddr, addr netip.Addr, what func(Packet, net.HardwareAddr, netip.Addr) bool, end time.Time) (bool, error) {
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
		if what(p, own, addr) {
			return true, ctx.Err()
		}
	}
	return false, nil
}
