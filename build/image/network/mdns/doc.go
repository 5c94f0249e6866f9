// Package mdns gives a link of the board a name, NAME.local, and tells of its
// services (RFC 6762, 6763), over IPv4.
//
// Responder probes for the name, takes NAME-2 and so on while another host has
// it, announces, answers, and says goodbye. It answers at most 20 times a
// second and drops what is more. There are no negative answers (NSEC).
package mdns
