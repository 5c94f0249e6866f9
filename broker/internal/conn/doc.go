// Package conn is one Network Connection: a session, the codec and a socket.
//
// Bytes come in through Conn.feed, which takes whole packets apart, asks
// session.Step and carries out its effects: route, subscribe, acknowledge.
// Bytes go out through Conn.fill: acknowledgements whose sequence is durable,
// then what session.Next gives, up to one buffer; one buffer is one write.
// Serve drives both with goroutines: one reads, a second one exists only while
// there is something to write. Loops drive both for plain sockets on Linux,
// with one goroutine for many; the files named _linux.go are theirs.
// Nothing else here knows about sockets.
//
// QoS 0 that has nothing to overtake goes past the session: Peer.Deliver
// encodes it into Conn.passed, and the next fill takes it along.
//
// Acknowledgements are parked with the sequence of router.Commit and leave in
// order; publishing by others, PINGRESP and messages never wait for them.
// PINGRESP comes last in its write, behind what was on the way.
//
// A Peer is the part of a session that outlives the connection: the session,
// its lock, and whom to wake. In-process clients use the same Peer.
//
// The package does not know the broker: it asks it through Server, Router and
// Barrier. It decides nothing about identities or topics.
//
// Locks: Peer.state, Conn.w, a loop's box and the list of Loops, all leaves,
// never held together and never across I/O or a call into another package but
// session and packet; Home's Load and Crowded are called under Peer.state.
// What is a loop's own is touched by its goroutine only.
package conn
