// Package overflow says what gives way when a queue is full: that of a session,
// or of a durable consumer. It decides nothing but what is drawn at random; the
// queues do the rest.
package overflow
