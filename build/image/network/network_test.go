package network

import (
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/network/link"
)

func newNetwork(t *testing.T, s Static) *network {
	o := Options{Static: s, Resolv: filepath.Join(t.TempDir(), "resolv.conf"), Logf: t.Logf}
	n := &network{Options: o, writing: make(chan struct{}, 1), servers: make(chan struct{}, 1)}
	n.state.links = map[int]known{}
	return n
}

func TestTimeServersWithoutIPv4(t *testing.T) {
	n := newNetwork(t, Static{})
	if got := n.timeServers(); got != nil {
		t.Errorf("nobody is reached: %q", got)
	}
	told := link.Servers{Index: 2, Lifetime: time.Hour, Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}}
	for range 3 { // routers say it again and again
		n.advertised(told)
	}
	if got := n.timeServers(); len(got) != len(pool) {
		t.Errorf("with a router of IPv6 only: %q", got)
	}
	if len(n.servers) != 1 {
		t.Error("time servers are not asked at once")
	}
	<-n.servers
	if n.advertised(told); len(n.servers) != 0 {
		t.Error("time servers are asked at each advertisement")
	}
	told.Lifetime = 0
	if n.advertised(told); n.timeServers() != nil {
		t.Error("the router has gone")
	}
}

// Two links with one address would both be the way to its network.
func TestAddressOfNetworkTxtIsOneLinks(t *testing.T) {
	newLink := func(n *network, index int, name string, wireless bool) *device {
		return n.newDevice(link.Link{Index: index, Name: name, Wireless: wireless, Hardware: net.HardwareAddr{2, 0, 0, 0, 0, byte(index)}})
	}
	n := newNetwork(t, Static{Address: netip.MustParsePrefix("10.0.0.5/24")})
	radio, first, second := newLink(n, 2, "wlan0", true), newLink(n, 3, "eth0", false), newLink(n, 4, "eth1", false)
	for i, d := range []struct {
		*device
		want bool
	}{{radio, false}, {first, true}, {second, false}} {
		if d.fixed = d.static(); d.fixed != d.want {
			t.Errorf("link %d: %v", i, d.fixed)
		}
	}
	first.stop()
	if !second.static() {
		t.Error("the first is not connected any more")
	}
	n = newNetwork(t, Static{Address: netip.MustParsePrefix("10.0.0.5/24"), Interface: "wlan0"})
	if !newLink(n, 2, "wlan0", true).static() || newLink(n, 3, "eth0", false).static() {
		t.Error("the one that is named")
	}
}
