package broker

import (
	"log/slog"
	"net"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
)

// How listeners are bound, for ListenerOptions.
type (
	// TLSOptions name the files of a TLS server.
	TLSOptions = listen.TLSOptions
	// TLS is a TLS server's side that follows its files.
	TLS = listen.TLS
	// TLSError says which of them cannot be used.
	TLSError = listen.TLSError
	// WebSocketOptions say what a WebSocket listener answers to.
	WebSocketOptions = listen.WebSocket
	// Inherited holds the sockets that systemd opened and passed on.
	Inherited = listen.Inherited
	// SharedListener is on the address of an HTTP server, which hands over the
	// connections that ask for MQTT in WebSocket.
	SharedListener = listen.Shared
)

// Listen binds "host:port" or "unix:/path". A Unix socket gets mode 0660.
// Sockets that are going to close, as in Relisten, do not hold the address (on
// Linux).
func Listen(bind string, going ...net.Listener) (net.Listener, error) {
	return listen.Bind(bind, going...)
}

// ListenAhead is Listen also for an address that this machine does not have yet
// (on Linux).
func ListenAhead(bind string) (net.Listener, error) { return listen.BindAhead(bind) }

// Inherit takes over the sockets that systemd passed on. It may be called
// once.
func Inherit() (*Inherited, error) { return listen.Inherit() }

// ListenShared makes a listener of an address that an HTTP server has bound.
func ListenShared(bind string) (*SharedListener, error) { return listen.NewShared(bind) }

// NewTLS loads the files of a TLS server, for Transport. Changed files are
// loaded again while it is in use, and by its Reload. The error of a file is a
// *TLSError.
func NewTLS(o TLSOptions, log *slog.Logger) (*TLS, error) { return listen.NewTLS(o, log) }

// Transport says what lies between the sockets of a listener and MQTT; the
// zero value is nothing.
type Transport = listen.Layers
