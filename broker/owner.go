package broker

import (
	"net"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// owner says whose a session is: nobody else takes it over, resumes or
// discards it, whatever Client Identifier they use. Clients that are nobody in
// particular share one identity for each realm. The store keeps it as it is.
type owner string

// ownerOf joins a Principal, "" for nobody in particular, and its realm: who
// vouches for the user, and which topics it lives among.
func ownerOf(principal, realm string) owner { return owner(principal + "\x00" + realm) }

// gateway owns the sessions made by Attach.
var gateway = ownerOf("", "\x00gateway") // no name contains U+0000

// owner returns whose a session of id is.
func (l *listener) owner(id *Identity) owner {
	if user := id.Principal(); user != "" {
		return ownerOf(user, l.realm)
	}
	return ownerOf("", l.nobody)
}

// reachOf tells those on this machine from those on the network. Who is behind
// a proxy is not on this machine.
func reachOf(o *ListenerOptions) string {
	if o.Proxied {
		return "network"
	}
	switch a := o.Listener.Addr().(type) {
	case *net.UnixAddr:
		return "local"
	case *net.TCPAddr:
		if a.IP.IsLoopback() {
			return "local"
		}
	}
	return "network"
}

// errForeign refuses a Client Identifier whose session is somebody else's.
var errForeign = mqtt.Errorf(mqtt.ClientIdentifierNotValid, "", "the Client Identifier belongs to another client")

// expire ends the connection of cl when the proof of its identity ends. The
// caller holds the registry.
func (h *hub) expire(cl *client) {
	h.stop(cl.proof)
	cl.proof = nil
	if cl.who == nil || cl.who.Expires.IsZero() {
		return
	}
	e := cl.endpoint
	cl.proof = h.after(time.Until(cl.who.Expires), func() { e.Kick(mqtt.MaximumConnectTime) })
}

// proved replaces the identity of an endpoint that authenticated again.
func (h *hub) proved(id string, e endpoint, who *Identity) {
	r := &h.registry
	r.Lock()
	cl := r.clients[id]
	if cl == nil || cl.endpoint != e {
		r.Unlock()
		return
	}
	cl.who = who
	h.expire(cl)
	x := admitted{cl.door, who, cl.peer}
	r.Unlock()
	x.review()
}
