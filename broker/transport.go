package broker

import (
	"log/slog"
	"net"
	"net/netip"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
)

// How listeners are bound, for ListenerOptions.
type (
	// TLSOptions name the files of a TLS server.
	TLSOptions = listen.TLSOptions
	// TLSError says which of them cannot be used.
	TLSError = listen.TLSError
	// WebSocketOptions say what a WebSocket listener answers to.
	WebSocketOptions = listen.WebSocket
	// Inherited holds the sockets that systemd opened and passed on.
	Inherited = listen.Inherited
)

// Listen binds "host:port" or "unix:/path". A Unix socket gets mode 0660.
func Listen(bind string) (net.Listener, error) { return listen.Bind(bind) }

// Inherit takes over the sockets that systemd passed on. It may be called
// once.
func Inherit() (*Inherited, error) { return listen.Inherit() }

// Transport says what lies between the sockets of a listener and MQTT; the
// zero value is nothing.
type Transport struct {
	// Proxies are the networks whose PROXY header is required and believed.
	Proxies   []netip.Prefix
	TLS       *TLSOptions
	WebSocket *WebSocketOptions
	Log       *slog.Logger // required
}

// Over loads the files of TLS and returns a function that puts the transport
// over bound listeners. Changed files are loaded again while it is in use. The
// error of a file is a *TLSError.
func (t Transport) Over() (func(net.Listener) net.Listener, error) {
	l := listen.Layers{Proxies: t.Proxies, WebSocket: t.WebSocket, Log: t.Log}
	if t.TLS != nil {
		var err error
		if l.TLS, err = listen.NewTLS(*t.TLS, t.Log); err != nil {
			return nil, err
		}
	}
	return l.Over, nil
}
