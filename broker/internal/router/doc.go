// Package router brings a message to everyone who subscribed, keeps the
// retained messages, and holds the write barrier.
//
// It knows its receivers only as Sinks; sessions and durable queues are sinks.
// Publish matches under the read lock (the write lock if the message is
// retained), merges overlapping subscriptions, takes turns in Shared
// Subscriptions and calls Sink.Deliver, which appends and returns. What a
// durable sink kept becomes one record of the store, however many there are.
//
// The barrier: whoever acknowledges calls Commit after the change, gets a
// sequence, and may speak only when Status says that it is durable. Nobody waits
// in here.
//
// The package has no goroutine and no socket; time is an argument.
//
// Locks, in this order: Router.mu; Router.order; whatever lock a Sink takes in
// Deliver. A Sink never calls back into the router. The store's lock is a leaf.
package router
