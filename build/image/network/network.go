package network

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/network/dhcp"
	"github.com/dunlin-mqtt/dunlin/build/image/network/link"
	"github.com/dunlin-mqtt/dunlin/build/image/network/mdns"
	"github.com/dunlin-mqtt/dunlin/build/image/network/sntp"
	"github.com/dunlin-mqtt/dunlin/build/image/network/wifi"
)

// Options say what Run is to do.
type Options struct {
	Name     string                  // the host's: a DHCP server and mDNS are told
	WiFi     *wifi.Config            // of wifi.txt; nil: no radio is used
	Static   Static                  // of network.txt
	Clock    sntp.Clock              // nil: nobody sets it
	State    string                  // the directory that lasts, for the time
	Services func() []mdns.Service   // that mDNS tells of, now
	Resolv   string                  // the file for name servers: /run/resolv.conf; /etc/resolv.conf is a link to it
	Problem  func(part, text string) // "wifi", what is wrong and what helps; an empty text: it is well again
	Logf     func(format string, args ...any)
}

// network is a running Run.
type network struct {
	Options
	kernel  *link.Kernel
	writing chan struct{} // has room for the one who writes resolv.conf
	servers chan struct{} // time servers may have changed
	fixed   *device       // that has the address of network.txt, which names none; follow's
	state   struct {
		sync.Mutex
		links map[int]known
	}
}

// known is what a link's servers told.
type known struct {
	metric uint32
	lease  dhcp.Lease
	v6     []netip.Addr // name servers of router advertisements
	v6end  time.Time
}

// retry is the pause after a kernel's refusal.
const retry = 10 * time.Second

// Run keeps the network until ctx ends; then it says goodbye and leaves the
// addresses as they are. It fails only without netlink.
func Run(ctx context.Context, o Options) error {
	kernel, err := link.Open()
	if err != nil {
		return err
	}
	defer kernel.Close()
	watcher, err := link.Watch()
	if err != nil {
		return err
	}
	defer watcher.Close()
	n := &network{Options: o, kernel: kernel, writing: make(chan struct{}, 1), servers: make(chan struct{}, 1)}
	n.state.links = map[int]known{}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	tell := func() {
		select {
		case changed <- struct{}{}:
		default: // it will look anyway
		}
	}
	tell()
	var parts sync.WaitGroup
	failed := make(chan error, 1)
	parts.Go(func() {
		if err := watcher.Run(ctx, tell, n.advertised); err != nil {
			failed <- err
		}
	})
	if o.Clock != nil {
		parts.Go(func() { n.timekeeper().Run(ctx) })
	}
	if o.WiFi != nil {
		s := wifi.Station{Config: *o.WiFi, Dial: wifi.Dial, Logf: o.Logf, Problem: func(text string) { o.Problem("wifi", text) }}
		parts.Go(func() { s.Run(ctx) })
	}
	err = n.follow(ctx, changed, failed)
	cancel()
	parts.Wait()
	return err
}

// follow starts and stops devices as links come and go.
func (n *network) follow(ctx context.Context, changed <-chan struct{}, failed <-chan error) error {
	devices := map[int]*device{}
	defer func() {
		for _, d := range devices {
			d.cancel()
		}
		for _, d := range devices {
			<-d.done
		}
	}()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-changed:
		case <-again.C:
		}
		if err := n.match(ctx, devices); err != nil {
			n.Logf("%v", err)
			again.Reset(retry)
		}
	}
}

// match compares the devices with the links that there are.
func (n *network) match(ctx context.Context, devices map[int]*device) error {
	links, err := n.kernel.Links()
	if err != nil {
		return err
	}
	for index, d := range devices {
		i := slices.IndexFunc(links, func(l link.Link) bool { return l.Index == index })
		if i < 0 || links[i].Name != d.link.Name {
			n.Logf("%s is gone", d.link.Name)
			d.stop()
			n.forget(index)
			delete(devices, index)
		}
	}
	var failed error
	for _, l := range links {
		d := devices[l.Index]
		if d == nil {
			d = n.newDevice(l)
			devices[l.Index] = d
			n.Logf("%s: %v", l.Name, l.Hardware)
		}
		if !l.Up {
			if err := n.kernel.Up(l.Index); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		d.follow(ctx, l)
	}
	return failed
}
