package broker

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// ClientInfo is one session, and the connection that it has or last had.
type ClientInfo struct {
	ClientID  string
	User      string // "" for nobody in particular
	Local     bool   // made by Attach
	Connected bool
	// Since is when it connected; while it is away, when it left.
	Since   time.Time
	Version mqtt.Version
	// SessionExpiry counts from the end of the connection; negative never ends.
	SessionExpiry time.Duration
	Subscriptions int
	Waiting       int // messages for it, in flight included
	WaitingBytes  int
	InFlight      int
	// Deliveries to the session: Accepted = Done + Dropped + Waiting.
	Accepted, Done uint64
	Dropped        Drops

	// Of a connection of the network.
	Remote         string
	Listener       string
	CleanStart     bool
	KeepAlive      time.Duration // asked for
	Received, Sent Traffic

	// LastEnd is why the connection before this one ended: UnspecifiedError if
	// it was lost without a word, Success if there was none.
	LastEnd mqtt.ReasonCode
}

// Clients describes all sessions, in no order. It may be stopped early, as
// the range of a for loop.
func (b *Broker) Clients(yield func(ClientInfo) bool) {
	r := &b.hub.registry
	r.Lock()
	ids := make([]string, 0, len(r.clients))
	for id := range r.clients {
		ids = append(ids, id)
	}
	r.Unlock()
	for _, id := range ids {
		if info, ok := b.Client(id); ok && !yield(info) {
			return
		}
	}
}

// Client describes one session; false when there is none.
func (b *Broker) Client(id string) (ClientInfo, bool) {
	r := &b.hub.registry
	r.Lock()
	defer r.Unlock()
	cl := r.clients[id]
	if cl == nil {
		return ClientInfo{}, false
	}
	return cl.describe(), true
}

// describe is called with the registry's lock.
func (cl *client) describe() ClientInfo {
	d := cl.peer.Describe()
	info := ClientInfo{
		ClientID: cl.peer.ClientID(), Local: cl.owner == gateway, Connected: cl.endpoint != nil, Since: time.Unix(0, cl.since),
		Version: d.Version, SessionExpiry: d.Expiry, Subscriptions: d.Subscriptions,
		Waiting: d.Waiting, WaitingBytes: d.Bytes, InFlight: d.InFlight,
		Accepted: d.Counts.Accepted, Done: d.Counts.Done, Dropped: d.Counts.Dropped, LastEnd: cl.lastEnd,
	}
	if d.Expiry == session.NeverExpires {
		info.SessionExpiry = -1
	}
	if cl.who != nil {
		info.User = cl.who.User
	}
	if c, ok := cl.endpoint.(*conn.Conn); ok {
		q := c.Request()
		info.Remote, info.Listener = c.Transport().Remote, cl.door.name
		info.CleanStart, info.KeepAlive = q.CleanStart, time.Duration(q.KeepAlive)*time.Second
		info.Received, info.Sent = c.Received(), c.Sent()
	}
	return info
}
