// Package mdns gives a link of the board a name, NAME.local, and tells of its
// services (RFC 6762, 6763), over IPv4 and IPv6, for as long as the link has
// addresses of them.
//
// Responder probes for the name and those of its services, gives way to a host
// that probes for them at the same time and comes first, takes NAME-2 and so
// on while another has them, announces, answers, also that a name has no
// record of a type, and says goodbye: at its end to all, before it to what is
// not served any more. A conflict later on, and a service that is new, make it
// probe again. It answers at most 20 times a second and drops what is more.
//
// A service is named as the host, the second one of its type with its port:
// "dunlin-1a2b 1884".
package mdns
