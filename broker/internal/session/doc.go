// Package session is the state of one client as a value: its subscriptions,
// what waits for it, what is in flight in both directions.
//
// Step takes one control packet of the client and the time, changes the state
// and returns effects: what must be routed, acknowledged, made durable. Deliver
// takes a message for the client, Next gives what may be sent now. Packet
// Identifiers that the client chose (ReceivedID) and those chosen here
// (SentID) are two types and two spaces [MQTT-2.2.1-4].
//
// The package has no goroutine, clock, socket, lock or log. Who owns a Session
// serializes all calls; broker/internal/conn does it with the lock of its
// Peer. It never routes and never writes bytes.
package session
