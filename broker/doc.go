// Package broker is an MQTT server: versions 3.1, 3.1.1 and 5.0 over any
// net.Listener, and the same sessions for clients in the process.
//
// New makes a broker, Run serves, Attach gives an in-process Client,
// AttachQueue a durable consumer. Everything behind it is in broker/internal.
//
// A QoS 1 PUBLISH from socket to socket: internal/conn/serve.go reads it,
// broker/packet decodes it, internal/conn/handle.go resolves its topic and
// asks, internal/session/step.go says what must happen, admit.go hands it to
// internal/router/router.go, which delivers it into each subscriber's
// internal/session/outbox.go; internal/conn/write.go takes it from there to
// the socket. The PUBACK waits in internal/conn/reply.go until the store
// reports its sequence durable.
//
// It refuses to know configuration files, sensors and bridges, and to decide
// who may do what: Options.Auth does.
//
// Locks, in this order: Broker.serving; hub.registry; Client.next; the router;
// one Peer or Queue. Leaves, under any of these: the guard, a connection's
// writer, the loader, crowds, origins, trim and the budget of events. None is
// held across I/O or a wait.
// DESIGN.md tells why it is built this way.
package broker
