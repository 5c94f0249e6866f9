// Package bridge carries chosen topics to an upstream server of MQTT 5.0,
// 3.1.1 or 3.1 and back, across outages.
//
// How a message goes up: the broker appends it to the Queue of its lane, where
// thin.go may thin out what comes while the link is down; sender.go takes one
// entry at a time from lanes.go when pace.go lets it, and gives it to forward.go.
// prepare.go makes a PUBLISH of it: remap.go names its upstream topic,
// envelope.go puts time (clock.go) and identity on it and envelope_json.go looks
// what of it is JSON to all. batch.go may join it with others and gzip.go
// compress them, window.go gives it a Packet Identifier and a place under the
// server's Receive Maximum, upstream_send.go encodes it (edge.go lets a Sparkplug
// node say it instead), wire.go coalesces the bytes, progress.go and
// quiet_linux.go write them; loose.go takes what is of QoS 0 out of the Queue
// when its bytes have left. While the window is full all of that is lent to the
// reader (lend.go), which goes on with it as soon as acknowledgements have made
// room. The acknowledgements that were read together come through
// upstream_read.go to settle.go, which is the only caller of Received and of
// Acknowledged.
//
// The entry in the Queue is the state of the transfer: there is no second store,
// nothing is handed over, and an entry is removed only after the server's PUBACK
// or PUBCOMP. When nothing waits, owed.go makes good what a full Queue has lost
// of retained messages, and roomless.go what the server had no room for.
//
// People look at the Queues and at the dead letters with spool.go and dead.go.
//
// How a message comes down: subscribe.go asks for it, upstream_read.go hands a
// PUBLISH to receive.go, which remaps it, leaves out second copies (twins.go),
// publishes it locally, and only then lets the PUBACK or PUBREC go out.
//
// How a connection comes about: bridge.go goes through the servers; dial.go
// resolves, connects (dial_race.go), passes the proxy (dial_proxy.go), does TLS
// (dial_tls.go) and the WebSocket upgrade (dial_http.go); upstream.go exchanges CONNECT and
// CONNACK with what credentials.go signs and profile.go allows; link.go serves
// it until it fails or planned.go wants another one; reason.go says why it
// failed, backoff.go when to try again.
//
// The bridge only ever reads from its Queue, so a slow, absent or black-holed
// upstream cannot delay a local client. It refuses to fall back to an
// unencrypted or unverified connection or to an older version of the protocol,
// to keep messages of its own, and to send back what came in through it.
//
// Goroutines: Run owns the supervisor; each connection has a sender,
// a reader, which settles what is acknowledged, a deliverer (what comes down), a
// pinger, one that foresees its planned end, and the wire's flusher, all waited
// for before the next connection starts.
//
// Locks: status, window, hold, suspect, cuts, poison, storm, pacer, Intake, Clock
// and wire each guard their own fields. They are leaves: no two are held together,
// and none across I/O or a call to the Queue; but pacer writes 20 bytes once a
// minute.
package bridge
