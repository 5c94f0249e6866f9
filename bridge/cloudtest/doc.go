// Package cloudtest is a fake MQTT server whose faults are switched on and off
// while it runs, for the tests of bridges: lost, late and swapped
// acknowledgements, half-open connections, rate limits that disconnect, lost
// sessions, and the limits of well-known services (targets.go).
//
// A Cloud speaks 5.0, 3.1.1 and 3.1 over any listener, TLS and WebSocket
// included, or over pipes in memory, which work in a testing/synctest bubble.
// It keeps sessions, takes messages exactly once by their QoS 2 identifiers and
// routes them to subscribers. With a journal it survives its own kill: what it
// has acknowledged is in the file, and New reads it back.
//
// It refuses to be a server for anything but tests: it keeps every message.
//
// Locks: Cloud.mu guards all state and is never held across I/O; what a
// connection has to write waits in its own queue under its own lock.
package cloudtest
