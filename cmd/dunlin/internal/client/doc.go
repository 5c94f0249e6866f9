// Package client is the small MQTT client of the command line tools. It
// speaks 3.1, 3.1.1 and 5.0 over TCP, TLS and Unix sockets with the codec of
// broker/packet.
//
// It refuses to hide what happens: there is no reconnecting and no retrying
// in it, because `dunlin sub` and `dunlin pub` differ in both. What outlives
// a Network Connection is a Session, which the caller hands to the next
// Connect. There is no enhanced authentication.
//
// Data moves so: Connect dials, sends CONNECT, waits for CONNACK and starts
// two goroutines that Close waits for. The reader decodes packets, answers
// the QoS 2 handshakes and passes messages on to Next; it stops reading while
// nobody calls Next, so a slow consumer slows the server, not the memory. The
// keeper sends PINGREQ when the line was silent. Publish blocks while the
// server's Receive Maximum is used up.
//
// Locks: Conn.writing is a one-slot channel held while a packet is written;
// Session.mu guards the maps and is never held across I/O. Nobody takes
// writing while holding mu.
package client
