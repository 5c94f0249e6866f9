// Package network is the network of dunlin's image: init runs it.
//
//	link      links, addresses and routes of the kernel, by netlink
//	dhcp      the IPv4 address of a link, from a server or 169.254/16
//	arp       who has an address
//	wifi      joins a wireless network, by nl80211
//	sntp      the time
//	mdns      NAME.local and the services of the board
//	settings  the text files on the card: network.txt, wifi.txt
//
// Run watches the links. Each that has a carrier gets a device: a goroutine
// that keeps its address and answers mDNS on it, until the carrier goes. The
// files it writes are resolv.conf and, below State, the time. A user's address
// in network.txt (Static) takes the place of DHCP on the first wired link that
// is connected, or on the one that it names. IPv6 is the kernel's own work:
// addresses and routes come from router advertisements, and only their name
// servers pass through here. DHCPv6 is not spoken.
//
// Whatever fails is logged and tried again: a board without a network still
// measures. What only the user can repair goes to Problem, in words for
// dunlin-errors.txt.
//
// One mutex, network.state, held for map accesses only; writing resolv.conf is
// serialized by a one-slot channel.
package network
