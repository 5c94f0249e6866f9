package listen

import "context"

// Peer is what a transport knows about the other side.
type Peer struct {
	Remote string // address; that of the client behind a trusted proxy
	// CertificateUser is the user name that a verified client certificate
	// stands for; "" without one.
	CertificateUser string
	// SocketUser is the system user at the other end of a Unix socket.
	SocketUser string
	// Local: loopback or Unix socket.
	Local bool
}

// Handshaker is a net.Conn that must do something before its first byte can be
// read: TLS, a PROXY header, a WebSocket upgrade. Handshake waits until it is
// done or ctx ends; the connection is read and written only after it returned.
// A failed handshake is closed by the caller.
type Handshaker interface {
	Handshake(ctx context.Context) (Peer, error)
}
