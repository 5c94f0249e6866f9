// Package http1 is a small HTTP/1.1 server and client (RFC 9112) for the
// control plane: net/http costs a tenth of the program.
//
//	accept -> conn.next (head, body) -> Handler -> Writer.Reply or Writer.Stream
//
// Everything is bounded: connections, the head, the number of fields, the body,
// and each wait. A connection carries one request after the other; what a
// client sends ahead waits in its 8 KiB. Bodies arrive whole, answers leave
// whole or as a stream of chunks.
//
// It takes no liberties: what two servers could read in two ways is refused.
// It does not do HTTP/2, TLS, request bodies in chunks (411), ranges,
// compression, trailers, the absolute form of a target, or proxies; of other
// protocols it only passes connections on. Who may do what, and the names a server answers to, are its Handler's business.
//
// A Server owns one goroutine for each connection and waits for them. Its lock
// guards the set of connections and is not held across I/O.
package http1
