// Soak runs the real server under random clients and beside devices for minutes
// and holds it to a model: go run ./scripts/soak -time 10m, or make soak.
//
// An actor (actor.go, life.go, leave.go) is one Client Identifier with a life of
// connecting, subscribing, publishing and leaving in every way there is:
// DISCONNECT, a cut socket, silence, a malformed packet, a take-over. It speaks
// 3.1, 3.1.1 or 5.0 (wire.go) and follows the rules a client must follow, so
// that each thing it sees wrong is the server's doing.
//
// The model is as small as it can be. All that one publisher sends to one topic
// with one QoS is a stream of numbered messages (stream.go). A session's inbox
// (inbox.go) knows the last number of each stream it got. As [MQTT-4.6.0-6]
// keeps a stream in order, the next message must have the next number: a hole
// is a lost message, a number that is not higher is a duplicate. Wills
// (will.go), Shared Subscriptions (shared.go) and retained messages
// (retained.go) have small models of their own.
//
// Five devices are polled and talk meanwhile (devices.go). Those that this
// program plays (instrument.go) number what they say, so that a value tells whose
// it is and how old (gauge.go). They are silenced and unplugged in turn: then
// availability says offline, no old value stands beside online, and commands get
// one result each, which is what happened to the relay.
//
// When the time is over all actors come back, everything promised must arrive,
// they leave for good, and the server must have nothing left of them: sessions,
// goroutines, descriptors, memory (server.go).
package main
