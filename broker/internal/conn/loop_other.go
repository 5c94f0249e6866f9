//go:build !linux

package conn

// socket is what a loop keeps of a connection.
type socket struct{}

// Loops drive connections without goroutines of their own; this system has
// none.
type Loops struct{}

// NewLoops returns loops that take no connection.
func NewLoops(func(*Conn)) *Loops { return new(Loops) }

// Take reports false: Conn.Serve has to be called.
func (*Loops) Take(*Conn) bool { return false }

// Close does nothing.
func (*Loops) Close() {}
