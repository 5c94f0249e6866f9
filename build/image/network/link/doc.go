// Package link is what the network needs from the kernel by route netlink:
// which links there are, bringing them up, one IPv4 address and its routes for
// each, and a word when something changed (a device that was
// plugged in or pulled out, a cable, an IPv6 address, name servers of a router
// advertisement).
//
// The kernel tells of new network devices by the same messages as of cables,
// so there is no listening to uevents. IPv6 addresses and routes are the
// kernel's own work (SLAAC).
package link
