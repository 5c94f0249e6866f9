package network

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dunlin-mqtt/dunlin/build/image/network/settings"
)

// Static is what network.txt says. Without an address it only adds to what
// DHCP gives.
type Static struct {
	Interface string // empty: every wired one; an address then goes to the first
	Address   netip.Prefix
	Router    netip.Addr
	DNS       []netip.Addr // instead of the server's
	Search    []string
	NTP       []string // names or addresses; before the server's
}

// ParseStatic reads network.txt:
//
//	address = 192.168.1.50/24
//	router = 192.168.1.1
//	dns = 192.168.1.1 9.9.9.9
//	search = home.lan
//	ntp = 192.168.1.1
//	interface = eth0
//
// Errors name the line and what would be right.
func ParseStatic(data []byte) (Static, error) {
	const name = "network.txt"
	v, err := settings.Parse(name, data, "address", "router", "dns", "search", "ntp", "interface")
	if err != nil {
		return Static{}, err
	}
	s := Static{Interface: v["interface"].Text, Search: strings.Fields(v["search"].Text), NTP: strings.Fields(v["ntp"].Text)}
	if a, ok := v["address"]; ok {
		s.Address, err = netip.ParsePrefix(a.Text)
		if err != nil || !s.Address.Addr().Is4() || s.Address.Bits() == 0 {
			return Static{}, fmt.Errorf("%s:%d: address %q: expected an IPv4 address and the length of its network, like 192.168.1.50/24", name, a.Line, a.Text)
		}
	}
	if r, ok := v["router"]; ok {
		s.Router, err = netip.ParseAddr(r.Text)
		switch {
		case err != nil || !s.Router.Is4():
			return Static{}, fmt.Errorf("%s:%d: router %q: expected an IPv4 address", name, r.Line, r.Text)
		case !s.Address.IsValid():
			return Static{}, fmt.Errorf("%s:%d: a router without an address: add address = ...", name, r.Line)
		case !s.Address.Contains(s.Router):
			return Static{}, fmt.Errorf("%s:%d: router %v is not in the network of %v", name, r.Line, s.Router, s.Address)
		}
	}
	for _, text := range strings.Fields(v["dns"].Text) {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return Static{}, fmt.Errorf("%s:%d: dns %q: expected an address", name, v["dns"].Line, text)
		}
		s.DNS = append(s.DNS, a)
	}
	return s, nil
}
