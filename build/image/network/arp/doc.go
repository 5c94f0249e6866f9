// Package arp asks a link who has an IPv4 address, defends one that is used
// (RFC 826, 5227), and holds an address of 169.254/16 on it (RFC 3927) while
// nothing better is to be had.
//
// Conn is a link's ARP socket; Dial opens the real one. Nothing here runs by
// itself: Taken, Defend and Hold end with their context.
package arp
