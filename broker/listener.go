package broker

import (
	"net"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
)

// maxPrefix bounds a topic prefix, in bytes.
const maxPrefix = 256

// listener is one listener's side of the hub: what its clients are asked and
// what they may use. It is constant after New, but for account.
type listener struct {
	*hub
	name      string
	socket    net.Listener
	anonymous bool
	auth      *authority
	limits    Limits
	session   *session.Limits // of limits
	features  Features
	proxied   bool
	redirect  error  // refuses every client; nil serves them
	realm     string // see owner
	reach     string
	conn      conn.Config
	account   account
}

func newListener(b *Broker, o *ListenerOptions) *listener {
	l := &listener{
		hub: b.hub, name: o.Name, socket: o.Listener, anonymous: o.Anonymous,
		limits: b.opts.Limits, features: AllFeatures(),
		proxied: o.Proxied, redirect: o.Redirect.refusal(), realm: o.TopicPrefix, reach: reachOf(o.Listener),
	}
	who := b.opts.Auth
	if o.Auth != nil {
		who = o.Auth
	}
	if o.Auth != nil || o.OwnUsers {
		l.realm += "\x00" + l.name
	}
	if who == nil {
		who = everybody{}
	}
	l.auth = b.hub.authority(who)
	l.auth.doors = append(l.auth.doors, l)
	if o.Limits != nil {
		l.limits = *o.Limits
		l.limits.setDefaults()
	}
	l.session = b.hub.session(&l.limits)
	if f := b.opts.Features; f != nil {
		l.features = *f
	}
	if o.Features != nil {
		l.features = *o.Features
	}
	l.conn = conn.Config{
		Listener: l.name, Server: l, Router: l, Barrier: b.hub.router,
		Limits: l.limits.conn(), Features: conn.Features(l.features), TopicPrefix: o.TopicPrefix,
		Log: b.log, Counters: b.counters, Memory: b.hub.memory,
	}
	return l
}

// ask words a CONNECT for the Authenticator.
func (l *listener) ask(c *conn.Conn, r *conn.Request) *Connect {
	t := c.Transport()
	return &Connect{
		ClientID: r.ClientID, Username: r.Username, HasUsername: r.HasUsername, Password: r.Password, HasPassword: r.HasPassword,
		Version: r.Version, Listener: l.name, Remote: t.Remote, Anonymous: l.anonymous,
		CertificateUser: t.CertificateUser, SocketUser: t.SocketUser, MemoryShort: l.memory.Level() >= 2,
	}
}
