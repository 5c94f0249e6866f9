package link

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// Link is a network device.
type Link struct {
	Index    int
	Name     string
	Hardware net.HardwareAddr
	Wireless bool
	Up       bool   // administratively
	Carrier  bool   // a cable is in and somebody is at its other end; a radio is associated
	Losses   uint32 // how often the carrier went: a short loss shows in nothing else
}

// Interface is the link as package net names it.
func (l Link) Interface() *net.Interface {
	return &net.Interface{Index: l.Index, Name: l.Name, HardwareAddr: l.Hardware, MTU: 1500, Flags: net.FlagUp | net.FlagBroadcast | net.FlagMulticast}
}

// Kernel is a route netlink socket. It is safe for concurrent use.
type Kernel struct{ conn *rtnetlink.Conn }

// Open opens one.
func Open() (*Kernel, error) {
	conn, err := rtnetlink.Dial(nil)
	if err != nil {
		return nil, err
	}
	return &Kernel{conn}, nil
}

// Close closes it.
func (k *Kernel) Close() error { return k.conn.Close() }

// Links are the Ethernet-like devices, by index.
func (k *Kernel) Links() ([]Link, error) {
	all, err := k.conn.Link.List()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var links []Link
	for _, m := range all {
		if m.Attributes == nil || m.Type != unix.ARPHRD_ETHER || len(m.Attributes.Address) != 6 {
			continue
		}
		l := Link{
			Index:    int(m.Index),
			Name:     m.Attributes.Name,
			Hardware: m.Attributes.Address,
			Up:       m.Flags&unix.IFF_UP != 0,
			Carrier:  m.Flags&(unix.IFF_UP|unix.IFF_RUNNING|unix.IFF_LOWER_UP) == unix.IFF_UP|unix.IFF_RUNNING|unix.IFF_LOWER_UP,
		}
		if n := m.Attributes.CarrierDownCount; n != nil {
			l.Losses = *n
		}
		_, err := os.Stat("/sys/class/net/" + l.Name + "/phy80211")
		l.Wireless = err == nil
		links = append(links, l)
	}
	slices.SortFunc(links, func(a, b Link) int { return cmp.Compare(a.Index, b.Index) })
	return links, nil
}

// Up brings a link up.
func (k *Kernel) Up(index int) error {
	return k.conn.Link.Set(&rtnetlink.LinkMessage{Index: uint32(index), Flags: unix.IFF_UP, Change: unix.IFF_UP})
}

// Addresses are all of a link's addresses that other hosts can reach.
func (k *Kernel) Addresses(index int) ([]netip.Prefix, error) {
	all, err := k.list()
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, m := range all {
		const unready = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
		if int(m.Index) == index && (m.Flags|uint8(m.Attributes.Flags))&unready == 0 {
			if p, ok := prefix(m); ok {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

func (k *Kernel) list() ([]rtnetlink.AddressMessage, error) {
	all, err := k.conn.Address.List()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return slices.DeleteFunc(all, func(m rtnetlink.AddressMessage) bool { return m.Attributes == nil }), nil
}

func prefix(m rtnetlink.AddressMessage) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(m.Attributes.Address)
	return netip.PrefixFrom(a.Unmap(), int(m.PrefixLength)), ok
}

// Route is a way to a network; the default route's is 0.0.0.0/0.
type Route struct {
	To  netip.Prefix
	Via netip.Addr // not valid: the link itself
}

// Configure gives a link one IPv4 address and routes in place of those it had.
// Of several routes to a network the kernel takes the one with the lowest
// metric. An mtu below the link's own holds for all of them; the link's stays,
// as some drivers change it only while the link is down. The zero prefix takes
// everything away.
func (k *Kernel) Configure(index int, address netip.Prefix, routes []Route, metric uint32, mtu int) error {
	all, err := k.list()
	if err != nil {
		return err
	}
	present := false
	for _, m := range all {
		if m.Family != unix.AF_INET || int(m.Index) != index {
			continue
		}
		if p, ok := prefix(m); ok && p == address {
			present = true
		} else if err := k.conn.Address.Delete(&m); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove %v: %w", p, err)
		}
	}
	if !address.IsValid() {
		return nil // the routes went with the address
	}
	if !present {
		if err := k.conn.Address.New(addressMessage(index, address)); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add %v: %w", address, err)
		}
	}
	ifi, err := net.InterfaceByIndex(index)
	if err != nil {
		return err
	}
	var metrics *rtnetlink.RouteMetrics
	if mtu > 0 && mtu < ifi.MTU {
		metrics = &rtnetlink.RouteMetrics{MTU: uint32(mtu)}
	}
	return k.route(index, address, routes, metric, metrics)
}

func addressMessage(index int, p netip.Prefix) *rtnetlink.AddressMessage {
	a := p.Addr().As4()
	m := &rtnetlink.AddressMessage{
		Family: unix.AF_INET, PrefixLength: uint8(p.Bits()), Scope: unix.RT_SCOPE_UNIVERSE, Index: uint32(index),
		Attributes: &rtnetlink.AddressAttributes{Address: a[:], Local: a[:]},
	}
	if p.Addr().IsLinkLocalUnicast() {
		m.Scope = unix.RT_SCOPE_LINK
	}
	if p.Bits() < 31 { // two hosts of a /31 need each address (RFC 3021)
		last := a
		for i := p.Bits(); i < 32; i++ {
			last[i/8] |= 0x80 >> (i % 8)
		}
		m.Attributes.Broadcast = last[:]
	}
	return m
}

// route sets the link's routes, and takes others of its own away. A router
// outside the network (some providers' /32) gets a route to itself.
func (k *Kernel) route(index int, address netip.Prefix, routes []Route, metric uint32, metrics *rtnetlink.RouteMetrics) error {
	want := map[Route]bool{}
	var ordered []Route
	add := func(r Route) {
		if !want[r] {
			want[r] = true
			ordered = append(ordered, r)
		}
	}
	for _, r := range routes {
		if r.Via.IsValid() && !address.Contains(r.Via) {
			add(Route{To: netip.PrefixFrom(r.Via, 32)})
		}
		add(r)
	}
	all, err := k.conn.Route.List()
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var failed error
	for _, m := range all {
		if m.Family == unix.AF_INET && int(m.Attributes.OutIface) == index && m.Table == unix.RT_TABLE_MAIN && m.Protocol == unix.RTPROT_KERNEL &&
			mtuOf(m.Attributes.Metrics) != mtuOf(metrics) { // the kernel's own, to the network of the address
			m.Attributes.Metrics = metrics
			failed = errors.Join(failed, k.conn.Route.Replace(&m))
			continue
		}
		ours := m.Family == unix.AF_INET && m.Table == unix.RT_TABLE_MAIN && int(m.Attributes.OutIface) == index &&
			(m.DstLength == 0 || m.Protocol == unix.RTPROT_DHCP)
		if !ours {
			continue
		}
		if r := routeOf(m); want[r] && m.Attributes.Priority == metric && mtuOf(m.Attributes.Metrics) == mtuOf(metrics) {
			want[r] = false // it is there
		} else if err := k.conn.Route.Delete(&m); err != nil && !errors.Is(err, unix.ESRCH) {
			failed = errors.Join(failed, fmt.Errorf("remove the route to %v: %w", r.To, err))
		}
	}
	for _, r := range ordered {
		if want[r] {
			failed = errors.Join(failed, k.addRoute(index, r.To, r.Via, metric, metrics))
		}
	}
	return failed
}

func mtuOf(m *rtnetlink.RouteMetrics) uint32 {
	if m == nil {
		return 0
	}
	return m.MTU
}

func routeOf(m rtnetlink.RouteMessage) (r Route) {
	r.To = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if a, ok := netip.AddrFromSlice(m.Attributes.Dst); ok && m.DstLength > 0 {
		r.To = netip.PrefixFrom(a.Unmap(), int(m.DstLength))
	}
	if a, ok := netip.AddrFromSlice(m.Attributes.Gateway); ok && !a.IsUnspecified() {
		r.Via = a.Unmap()
	}
	return r
}

func (k *Kernel) addRoute(index int, to netip.Prefix, via netip.Addr, metric uint32, metrics *rtnetlink.RouteMetrics) error {
	m := &rtnetlink.RouteMessage{
		Family: unix.AF_INET, DstLength: uint8(to.Bits()), Table: unix.RT_TABLE_MAIN,
		Protocol: unix.RTPROT_DHCP, Scope: unix.RT_SCOPE_LINK, Type: unix.RTN_UNICAST,
		Attributes: rtnetlink.RouteAttributes{OutIface: uint32(index), Priority: metric, Metrics: metrics},
	}
	if to.Bits() > 0 {
		m.Attributes.Dst = to.Addr().AsSlice()
	}
	if via.IsValid() {
		m.Scope, m.Attributes.Gateway = unix.RT_SCOPE_UNIVERSE, via.AsSlice()
	}
	if err := k.conn.Route.Add(m); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("route to %v: %w", to, err)
	}
	return nil
}
