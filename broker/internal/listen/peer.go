package listen

import (
	"net"
	"os/user"
	"strconv"
)

// Peer is what a transport knows about the other side.
type Peer struct {
	// Remote is the address, that of the client behind a trusted proxy; "unix"
	// for a Unix socket.
	Remote string
	// CertificateUser is the user name that a verified client certificate
	// stands for; "" without one.
	CertificateUser string
	// SocketUser is the system user at the other end of a Unix socket: its
	// name, or its number if it has none.
	SocketUser string
	// Local: loopback or Unix socket.
	Local bool
}

// Handshaker is a net.Conn that must do something before its first byte can be
// read: TLS, a PROXY header, a WebSocket upgrade. Handshake waits until it is
// done or the deadlines that its caller has set pass; the connection is read
// and written only after it returned. A failed handshake is closed by the
// caller.
type Handshaker interface {
	Handshake() (Peer, error)
}

// PeerOf says what is known about the other side of an accepted socket at
// once, without waiting for it.
func PeerOf(nc net.Conn) Peer {
	switch nc := nc.(type) {
	case *Bare:
		return Peer{Remote: nc.remote.String(), Local: nc.remote.Addr().IsLoopback()}
	case *net.TCPConn:
		a := nc.RemoteAddr().(*net.TCPAddr)
		return Peer{Remote: a.String(), Local: a.IP.IsLoopback()}
	case *net.UnixConn:
		return Peer{Remote: "unix", SocketUser: socketUser(nc), Local: true}
	}
	if a := nc.RemoteAddr(); a != nil {
		return Peer{Remote: a.String()}
	}
	return Peer{}
}

// socketUser names the user that connected; "" where the system does not say.
func socketUser(nc *net.UnixConn) string {
	uid, ok := socketUID(nc)
	if !ok {
		return ""
	}
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id // a user without a name is known by its number
}
