// Package listen makes network connections that carry MQTT: it binds TCP and
// Unix sockets or takes those of systemd, accepts, and puts layers over a
// socket: PROXY header, TLS, WebSocket.
//
//	socket -> readProxy -> tls.Server -> WebSocket.upgrade -> websocket.Server -> MQTT
//
// Accept hands each accepted connection to a function and never waits for a
// client: a connection with layers is a Handshaker, whose Handshake runs in
// the connection's own goroutine under the deadline of CONNECT. Until it is
// done, memory grows only with bytes received, to 64 KiB at most. Errors of
// accept never end a listener. Memory is a listener without sockets, for tests
// and for clients in the process.
//
// On Linux, Raw accepts TCP connections without making them package net's: an
// event loop takes their descriptors.
//
// An HTTP server that shares its address with MQTT hands connections over to a
// Shared, with the request for an upgrade that it has read.
//
// It knows nothing of MQTT but the names of its subprotocols. Locks: a socket's
// deadlines, a notice's lines; none is held while another is taken, nor across
// I/O. A one-slot channel lets one handshake at a time look at TLS's
// files.
package listen
