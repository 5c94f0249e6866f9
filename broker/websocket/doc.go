// Package websocket carries MQTT over WebSocket (RFC 6455): both ends of a
// connection after its upgrade, as a net.Conn.
//
// It refuses extensions, text frames, and everything that is not in its
// shortest form or out of turn; a peer that sends such a thing is told with a
// Close frame. The upgrade itself is not done here: servers do it in
// broker/internal/listen, clients in bridge.
//
// frame.go takes frames apart and is a value without I/O; conn.go stands around
// it. Locks: Conn.turn is a one-slot channel held while a frame is written; the
// reader waits for it only to say its last word, and not for long.
package websocket
