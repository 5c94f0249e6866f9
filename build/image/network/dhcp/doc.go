// Package dhcp keeps the IPv4 address of one link: a DHCP client (RFC 2131),
// and an address of 169.254/16 (RFC 3927) for as long as no server answers, or
// none to any use.
//
// Message is the packet. Machine is the client as a value: what happened and
// the time in, what is to be done out; it has no socket and no clock. Client
// is the shell around it: it sends, receives, and asks the link by ARP whether
// an address is free. Dial opens a link's sockets.
//
// An address is checked by ARP before it is used; one that somebody has is
// declined, another is announced and defended. One that another host insists on
// later is given back. A link that comes back asks for the address
// it had. Nothing that a server says is trusted further than Lease checks it.
package dhcp
