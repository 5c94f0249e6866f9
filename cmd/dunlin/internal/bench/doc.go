// Package bench loads an MQTT server with clients that all publish and all
// subscribe, and counts what became of every message at every one of them.
//
// It refuses to guess: a message is lost until it has come, a second copy and
// one that was overtaken are each counted, and a connection that ends is an
// error, not a pause. What it keeps does not grow with the number of messages:
// a window of 64 numbers for each pair of clients, and one histogram.
//
// Data moves so: Run connects and subscribes all clients; each then has a
// goroutine that publishes when a message is due and one that takes what
// arrives; Run waits for both. The payload says who sent it, as which message
// and when, so that nothing has to be looked up.
//
// Locks: none; the figures are atomic, each window belongs to the receiver.
package bench
