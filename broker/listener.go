package broker

import (
	"net"
	"sync/atomic"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
)

// maxPrefix bounds a topic prefix, in bytes.
const maxPrefix = 256

// listener is one listener's side of the hub: what its clients are asked and
// what they may use. It is constant: another configuration is another listener
// behind the same gate.
type listener struct {
	*hub
	name      string
	gate      *gate
	over      func(net.Conn) net.Conn // puts the layers over a connection; nil: there are none
	anonymous bool
	auth      *authority
	limits    Limits
	session   *session.Limits // of limits
	features  Features
	proxied   bool
	redirect  error  // refuses every client; nil serves them
	realm     string // see owner
	nobody    string // the realm of who is nobody in particular
	conn      conn.Config
}

// gate is a socket that is served. The lock of Broker.serving guards account,
// stop and the place of the gate among others.
type gate struct {
	socket  net.Listener
	now     atomic.Pointer[listener] // takes what is accepted
	account account
	stop    func() // ends accepting; nil before Run
	renewed bool   // by the last Relisten
}

// who is the Authenticator of a listener.
func (o *Options) who(l *ListenerOptions) Authenticator {
	switch {
	case l.Auth != nil:
		return l.Auth
	case o.Auth != nil:
		return o.Auth
	}
	return everybody{}
}

// newListener makes the listener of o behind g; all has what o does not say.
func newListener(b *Broker, g *gate, o *ListenerOptions, all *Options) *listener {
	l := &listener{
		hub: b.hub, name: o.Name, gate: g, anonymous: o.Anonymous,
		limits: all.Limits, features: AllFeatures(),
		proxied: o.Proxied, redirect: o.Redirect.refusal(), realm: o.TopicPrefix,
	}
	if o.Auth != nil || o.OwnUsers {
		l.realm += "\x00" + l.name
	}
	l.nobody = l.realm + "\x00" + reachOf(o)
	l.auth = b.hub.authority(all.who(o))
	if o.Limits != nil {
		l.limits = *o.Limits
		l.limits.setDefaults()
	}
	l.session = b.hub.session(&l.limits)
	if f := all.Features; f != nil {
		l.features = *f
	}
	if o.Features != nil {
		l.features = *o.Features
	}
	l.conn = conn.Config{
		Listener: l.name, Server: l, Router: l, Barrier: b.hub.router,
		Rights: &l.auth.seen, Limits: l.limits.conn(), Features: conn.Features(l.features), TopicPrefix: o.TopicPrefix,
		Log: b.log, Counters: b.counters, Memory: b.hub.memory,
	}
	return l
}

// door finds a listener by its name. One that is there no more has the rules
// for all.
func (b *Broker) door(name string) *listener {
	for _, g := range b.serving.gates {
		if l := g.now.Load(); l.name == name {
			return l
		}
	}
	return &listener{hub: b.hub, name: name, auth: b.hub.authority(b.opts.who(new(ListenerOptions)))}
}

// widest is what a session may hold of which nobody knows the listener: the
// most of any, for what one has let it keep is not to be lost at a restart.
func (b *Broker) widest() *session.Limits {
	w := b.hub.session(&b.opts.Limits)
	for _, g := range b.serving.gates {
		l := g.now.Load().session
		w.QueueMessages, w.QueueBytes = max(w.QueueMessages, l.QueueMessages), max(w.QueueBytes, l.QueueBytes)
	}
	return w
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
