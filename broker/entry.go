package broker

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/guard"
	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

var (
	errBanned   = mqtt.Errorf(mqtt.Banned, "", "banned for a time")
	errTooOften = mqtt.Errorf(mqtt.ConnectionRateExceeded, "", "too many connections from this address")
	errPenalty  = mqtt.Errorf(mqtt.ConnectionRateExceeded, "", "too many failed attempts, wait a minute")
)

// mayEnter decides about a connection before a byte of it is read; a client
// behind a proxy is judged when its name is known.
func (l *listener) mayEnter(nc net.Conn) mqtt.ReasonCode {
	if l.proxied {
		return mqtt.Success
	}
	now, a := time.Now(), networkOfConn(nc)
	switch {
	case l.guard.Banned(now, a, "", ""):
		return mqtt.Banned
	case !l.guard.MayConnect(now, a, l.connectRate(a)):
		return mqtt.ConnectionRateExceeded
	}
	return mqtt.Success
}

// connectRate is what a network may connect a second.
func (l *listener) connectRate(a netip.Addr) float64 {
	if guard.Loopback(a) {
		return l.limits.LocalConnectRate
	}
	return l.limits.ConnectRate
}

// networkOf is the network that a remote address "host:port" counts for; not
// valid for other transports.
func networkOf(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return guard.Network(ap.Addr())
}

func networkOfConn(nc net.Conn) netip.Addr {
	if b, ok := nc.(*listen.Bare); ok {
		return guard.Network(b.Remote().Addr())
	}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return guard.Network(a.AddrPort().Addr())
	}
	return netip.Addr{}
}

// loginOf is how the guard knows an attempt. Who sends nothing that could be a
// guess, or was proved by the transport, has none.
func loginOf(c *conn.Conn, r *conn.Request) guard.Login {
	t := c.Transport()
	if t.CertificateUser != "" || !r.HasUsername && !r.HasPassword && r.AuthMethod == "" {
		return guard.Login{}
	}
	who := guard.Login{Address: networkOf(t.Remote), Name: r.Username, Client: r.ClientID}
	if who.Name == "" { // a token or SCRAM
		who.Name = r.ClientID
	}
	return who
}

// failed counts an attempt that proved nothing. That the server is too busy to
// tell is no fault of the client, and a Client Identifier that fits into no
// rule is no guess.
func (l *listener) failed(who guard.Login, err error) {
	var e *mqtt.Error
	if errors.As(err, &e) && (e.Code == mqtt.ServerBusy || e.Code == mqtt.ServerUnavailable || e.Code == mqtt.ClientIdentifierNotValid) {
		return
	}
	l.guard.Failed(time.Now(), who, l.limits.FailedConnects)
}

// keepOut refuses a client before its proof is looked at.
func (l *listener) keepOut(c *conn.Conn, r *conn.Request) error {
	now, a := time.Now(), networkOf(c.Transport().Remote)
	switch {
	case l.redirect != nil:
		return l.redirect
	case l.guard.Banned(now, a, r.ClientID, ""):
		return errBanned
	case l.proxied && !l.guard.MayConnect(now, a, l.connectRate(a)):
		return errTooOften
	case !l.guard.MayTry(now, loginOf(c, r)):
		return errPenalty
	}
	return nil
}

// keepOutUser refuses a user who is banned.
func (l *listener) keepOutUser(c *conn.Conn, r *conn.Request, id *Identity) error {
	if id.User != "" && l.guard.Banned(time.Now(), networkOf(c.Transport().Remote), r.ClientID, id.User) {
		return errBanned
	}
	return nil
}
