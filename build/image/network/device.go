package network

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/build/image/network/arp"
	"github.com/dunlin-mqtt/dunlin/build/image/network/dhcp"
	"github.com/dunlin-mqtt/dunlin/build/image/network/link"
	"github.com/dunlin-mqtt/dunlin/build/image/network/mdns"
)

// device is a link that Run has seen. It belongs to network.follow.
type device struct {
	net     *network
	link    link.Link
	machine *dhcp.Machine // over all times that the cable was in
	running bool
	losses  uint32 // of the carrier, when it was looked at last
	fixed   bool   // the address of network.txt is this link's, while it runs
	cancel  context.CancelFunc
	done    chan struct{} // closed while nothing runs
}

func (n *network) newDevice(l link.Link) *device {
	d := &device{net: n, link: l, cancel: func() {}, done: make(chan struct{})}
	close(d.done)
	d.machine = &dhcp.Machine{Hardware: l.Hardware, Hostname: n.Name, Random: rand.Uint32}
	return d
}

// follow starts the device with its carrier, and stops it without. One that
// was gone since it was looked at last may have come back from another network:
// the address stays until that network's server says no.
func (d *device) follow(ctx context.Context, l link.Link) {
	switch {
	case d.running && !l.Carrier:
		d.net.Logf("%s: no carrier", l.Name)
		d.stop()
		d.use(dhcp.Lease{})
	case d.running && l.Losses != d.losses:
		d.net.Logf("%s: no carrier for a moment", l.Name)
		d.stop()
	}
	if d.losses = l.Losses; !l.Carrier || d.running {
		return
	}
	d.net.Logf("%s: connected", l.Name)
	ctx, d.cancel = context.WithCancel(ctx)
	d.running, d.fixed, d.done = true, d.static(), make(chan struct{})
	go func() {
		defer close(d.done)
		var name sync.WaitGroup
		name.Go(func() { d.answer(ctx) })
		d.run(ctx)
		name.Wait()
	}()
}

func (d *device) stop() {
	d.cancel()
	<-d.done
	if d.running = false; d.fixed && d.net.fixed == d {
		d.net.fixed = nil
	}
}

// run keeps the link's address until ctx ends.
func (d *device) run(ctx context.Context) {
	for ctx.Err() == nil {
		var err error
		if d.fixed {
			err = d.runStatic(ctx)
		} else {
			err = d.runDHCP(ctx)
		}
		if err != nil && ctx.Err() == nil {
			d.net.Logf("%s: %v", d.link.Name, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// answer answers mDNS on the link until ctx ends.
func (d *device) answer(ctx context.Context) {
	for ctx.Err() == nil {
		if len(d.addresses()) > 0 {
			if err := d.respond(ctx); err != nil && ctx.Err() == nil {
				d.net.Logf("%s: mDNS: %v", d.link.Name, err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (d *device) respond(ctx context.Context) error {
	conn, err := mdns.Dial(d.link.Interface())
	if err != nil {
		return err
	}
	defer conn.Close()
	r := mdns.Responder{Name: d.net.Name, Services: d.net.Services, Conn: conn, Addrs: d.addresses, Own: own,
		Logf: func(f string, a ...any) { d.net.Logf(d.link.Name+": "+f, a...) }}
	return r.Run(ctx)
}

// addresses are the link's; none when the kernel does not say.
func (d *device) addresses() []netip.Prefix {
	all, err := d.net.kernel.Addresses(d.link.Index)
	if err != nil {
		return nil
	}
	return all
}

// own says whether an address is one of this host's.
func own(a netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(all, func(i net.Addr) bool {
		p, err := netip.ParsePrefix(i.String())
		return err == nil && p.Addr() == a
	})
}

// static says whether the address of network.txt is this link's: of several
// wired ones it is that of the first that is connected, until it no longer is.
func (d *device) static() bool {
	s := d.net.Static
	switch {
	case !s.Address.IsValid():
		return false
	case s.Interface != "":
		return s.Interface == d.link.Name
	case d.link.Wireless || d.net.fixed != nil:
		return false
	}
	d.net.fixed = d
	return true
}

func (d *device) runDHCP(ctx context.Context) error {
	conn, err := dhcp.Dial(d.link.Interface())
	if err != nil {
		return err
	}
	defer conn.Close()
	c := dhcp.Client{
		Machine: d.machine,
		Conn:    conn,
		ARP:     d.arp,
		Use:     d.use,
		Logf:    func(f string, a ...any) { d.net.Logf(d.link.Name+": "+f, a...) },
	}
	return c.Run(ctx)
}

func (d *device) arp() (arp.Conn, error) { return arp.Dial(d.link.Interface()) }

// runStatic uses the user's address, says so when somebody else has it, and
// uses it nevertheless: that is what the user asked for.
func (d *device) runStatic(ctx context.Context) error {
	s := d.net.Static
	addr := s.Address.Addr()
	socket, err := d.arp()
	if err != nil {
		return err
	}
	defer socket.Close()
	taken, err := arp.Taken(ctx, socket, d.link.Hardware, addr, 2, 200*time.Millisecond)
	if err != nil {
		return err
	}
	text := ""
	const another = "Another machine has the address %v of network.txt too: give this board another one."
	if taken {
		text = fmt.Sprintf(another, addr)
	}
	d.net.Problem("network", text)
	d.use(dhcp.Lease{Address: s.Address, Router: s.Router})
	for {
		if err := arp.Defend(ctx, socket, d.link.Hardware, addr); err != nil {
			return err
		}
		d.net.Problem("network", fmt.Sprintf(another, addr))
		select {
		case <-ctx.Done():
		case <-time.After(redefend):
		}
	}
}

// redefend is the pause between two attempts to keep an address that another
// host insists on: more would be a storm (RFC 5227, 2.4 c).
const redefend = 10 * time.Second

// Metrics of default routes: a cable before a radio, the first before others,
// a link-local address after all.
const (
	metricWired    = 100
	metricWireless = 600
	metricLocal    = 2000
)

func (d *device) metric(l dhcp.Lease) uint32 {
	base := uint32(metricWired)
	if d.link.Wireless {
		base = metricWireless
	}
	if !l.Router.IsValid() {
		base = metricLocal
	}
	return base + uint32(min(d.link.Index, 400))
}

// use configures a lease, or takes the address away.
func (d *device) use(l dhcp.Lease) {
	metric := d.metric(l)
	var routes []link.Route
	if l.Router.IsValid() {
		routes = append(routes, link.Route{To: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: l.Router})
	}
	for _, r := range l.Routes {
		routes = append(routes, link.Route(r))
	}
	err := d.net.kernel.Configure(d.link.Index, l.Address, routes, metric, l.MTU)
	if err != nil && !errors.Is(err, unix.ENODEV) {
		d.net.Logf("%s: %v", d.link.Name, err)
	}
	if l.Address.IsValid() {
		d.net.Logf("%s: %v, router %v, name servers %v, valid for %v", d.link.Name, l.Address, addrOr(l.Router), l.DNS, validFor(l))
	}
	d.net.learned(d.link.Index, metric, l)
}

func addrOr(a netip.Addr) string {
	if a.IsValid() {
		return a.String()
	}
	return "none"
}

func validFor(l dhcp.Lease) string {
	if l.Expire == 0 {
		return "ever"
	}
	return l.Expire.String()
}
