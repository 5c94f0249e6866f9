package link

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Servers are the name servers that a router advertised (RDNSS, RFC 8106).
type Servers struct {
	Index    int // of the link
	Lifetime time.Duration
	Addrs    []netip.Addr
}

// Watcher hears of changes.
type Watcher struct{ conn *netlink.Conn }

// Watch begins to listen: what changes after it has returned is not missed.
func Watch() (*Watcher, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{
		Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | 1<<(unix.RTNLGRP_ND_USEROPT-1),
	})
	if err != nil {
		return nil, err
	}
	return &Watcher{conn}, nil
}

// Close ends it.
func (w *Watcher) Close() error { return w.conn.Close() }

// Run calls changed after links or addresses changed, which its caller lists
// again, and servers for each advertisement, until ctx ends. A kernel that
// had more to tell than the socket holds is a change too.
func (w *Watcher) Run(ctx context.Context, changed func(), servers func(Servers)) error {
	stop := context.AfterFunc(ctx, func() { w.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		messages, err := w.conn.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			changed()
			continue
		case err != nil:
			return err
		}
		for _, m := range messages {
			if m.Header.Type != unix.RTM_NEWNDUSEROPT {
				continue
			}
			if s, ok := parseServers(m.Data); ok {
				servers(s)
			}
		}
		changed()
	}
}

const (
	ndHeader    = 16 // struct nduseroptmsg
	ndOptRDNSS  = 25
	maxRDNSS    = 3
	ndAdvertise = 134
)

// parseServers reads an RDNSS option out of the kernel's message; ok is false
// for every other option.
func parseServers(b []byte) (s Servers, ok bool) {
	if len(b) < ndHeader || b[0] != unix.AF_INET6 || b[8] != ndAdvertise {
		return s, false
	}
	s.Index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	size := int(binary.NativeEndian.Uint16(b[2:]))
	if b = b[ndHeader:]; size > len(b) || size < 8 {
		return s, false
	}
	b = b[:size]
	if b[0] != ndOptRDNSS || int(b[1])*8 > len(b) {
		return s, false
	}
	s.Lifetime = time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
	for a := b[8 : max(int(b[1]), 1)*8]; len(a) >= 16 && len(s.Addrs) < maxRDNSS; a = a[16:] {
		addr := netip.AddrFrom16([16]byte(a))
		if addr.IsLinkLocalUnicast() { // reachable only with the link's name
			addr = addr.WithZone(zoneName(s.Index))
		}
		if !addr.IsUnspecified() && !addr.IsMulticast() {
			s.Addrs = append(s.Addrs, addr)
		}
	}
	return s, len(s.Addrs) > 0
}

func zoneName(index int) string {
	if ifi, err := net.InterfaceByIndex(index); err == nil {
		return ifi.Name
	}
	return ""
}
