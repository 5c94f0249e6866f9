package listen

import (
	"net"
	"sync"
	"time"
)

// handOverTimeout bounds how long a connection waits to be accepted.
const handOverTimeout = time.Second

// Shared is a listener on the address of an HTTP server: that one accepts and
// hands over the connections that ask for MQTT.
type Shared struct {
	addr   *net.TCPAddr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewShared makes the listener of an address that another server has bound.
func NewShared(bind string) (*Shared, error) {
	addr, err := net.ResolveTCPAddr("tcp", bind)
	if err != nil {
		return nil, err
	}
	return &Shared{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}, nil
}

// handedOver is a connection of which another server has read something.
type handedOver struct {
	net.Conn
	read []byte
}

// HandOver passes a connection on, with what was read of it, which is copied:
// the whole request for an upgrade. False says that nobody takes it, and that
// it is the caller's still. It waits a second at most.
func (s *Shared) HandOver(nc net.Conn, read []byte) bool {
	late := time.NewTimer(handOverTimeout)
	defer late.Stop()
	select {
	case s.conns <- handedOver{nc, append([]byte(nil), read...)}:
		return true
	case <-s.closed:
	case <-late.C:
	}
	return false
}

// Accept waits for a HandOver.
func (s *Shared) Accept() (net.Conn, error) {
	select {
	case nc := <-s.conns:
		return nc, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and HandOver; the other server keeps the address.
func (s *Shared) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr is the other server's address.
func (s *Shared) Addr() net.Addr { return s.addr }
