package broker

import (
	"net"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// owner says whose a session is: nobody else takes it over, resumes or
// discards it, whatever Client Identifier they use. Clients that are nobody in
// particular share one identity for each realm.
type owner struct {
	user  string
	realm string // who vouches for the user, and which topics it lives among
}

// text is o for the store.
func (o owner) text() string { return o.user + "\x00" + o.realm }

// ownerOf is the owner that text stands for. No user name contains U+0000.
func ownerOf(text string) owner {
	user, realm, _ := strings.Cut(text, "\x00")
	return owner{user, realm}
}

// gateway owns the sessions made by Attach.
var gateway = owner{realm: "\x00gateway"} // no name contains U+0000

// owner returns whose a session of id is.
func (l *listener) owner(id *Identity) owner {
	if user := id.Principal(); user != "" {
		return owner{user, l.realm}
	}
	return owner{realm: l.nobody}
}

// reachOf tells those on this machine from those on the network.
func reachOf(ln net.Listener) string {
	switch a := ln.Addr().(type) {
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
