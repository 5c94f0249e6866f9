package broker

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/guard"
	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/internal/router"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// hub keeps the sessions by Client Identifier and says who is attached to
// each: at most one endpoint at a time.
type hub struct {
	log     *slog.Logger
	router  *router.Router
	durable *store.Durable // nil: state is in memory only
	events  *events        // nil: off
	guard   guard.Guard
	// authorities are those of all listeners; constant after New.
	authorities []*authority

	registry struct {
		sync.Mutex
		clients map[string]*client
		ending  map[string]ending // sessions that have left clients, until the store knows
		queues  map[string]*Queue
		lines   map[string]*store.Line // of queues that the store has kept, until they are attached
		closed  bool
		keeping keeping
		// watchers are few: outputs that depend on a client.
		watchers []*watcher
		ended    sessionCounts // of sessions that are gone
		expired  uint64        // sessions of the network that nobody came back to
	}

	willsRefused, sessionsRefused, receiveRefused, slowEnded atomic.Uint64

	memory    *memory.Account
	home      conn.Home // of all peers
	inherited inherited
	origins   origins
	loader    loader
	crowds    crowds
	overflow  Overflow // of sessions
	locals    sync.Map // Client Identifiers that Attach has seen

	timers sync.WaitGroup // callbacks of timers that are running
}

// endpoint is who is attached to a session: a connection or a Client.
type endpoint interface {
	// Kick asks it to end; it does not wait.
	Kick(mqtt.ReasonCode)
	// Done is closed when it has ended and was detached.
	Done() <-chan struct{}
	// Wake tells it that the session may have something to send.
	Wake()
}

// ending stands for the endpoint of a session until its end is recorded: a
// session that began under its name before would end with it in the store.
type ending chan struct{}

func (ending) Kick(mqtt.ReasonCode)    {}
func (e ending) Done() <-chan struct{} { return e }
func (ending) Wake()                   {}

// client is one session with what must happen when nobody is attached to it.
// The registry's lock guards it.
type client struct {
	peer     *conn.Peer
	endpoint endpoint    // nil while nobody is attached
	will     *mqtt.Will  // of the endpoint; after it left, waiting for its Will Delay Interval
	delay    *time.Timer // publishes will
	expiry   *time.Timer // ends the session
	owner    owner
	door     *listener   // where who came in; nil for the gateway's own
	who      *Identity   // of the endpoint, or the last one
	remote   string      // of the endpoint, or the last one
	proof    *time.Timer // ends the connection when the proof of who ends
	kept     bool        // the store has a record of the session
	ending   ending      // it is in registry.ending
	lastEnd  mqtt.ReasonCode
	left     int64 // when the client of a session left that was restored, before this boot: Unix time, ns; else 0
	since    int64 // when endpoint came or left: Unix time, ns
}

func newHub(o *Options, r *router.Router, m *memory.Account) *hub {
	h := &hub{log: o.Log, router: r, memory: m, overflow: o.Overflow}
	h.home = conn.Home{
		Gone: h.recordGone, Cut: h.recordCuts, Load: h.load, Tight: func() bool { return h.durable.Tight() }, Crowded: h.crowded, Memory: m,
	}
	if o.Overflow == Reject {
		r.Reject(h.rejects)
	}
	if o.ClientEvents || o.OnClient != nil {
		h.events = &events{hub: h, publishes: o.ClientEvents, tell: o.OnClient}
	}
	h.registry.clients = make(map[string]*client)
	h.registry.ending = make(map[string]ending)
	h.registry.queues = make(map[string]*Queue)
	return h
}

// attachment is what an endpoint brings along.
type attachment struct {
	id         string
	cleanStart bool
	noWait     bool // ErrWouldWait instead of waiting for another endpoint to end
	owner      owner
	door       *listener
	who        *Identity
	remote     string
	params     session.Params
	limits     *session.Limits
	will       *mqtt.Will
	endpoint   endpoint
}

// prefix is the part of the tree of topics that the session lives in.
func (a *attachment) prefix() string {
	if a.door == nil {
		return ""
	}
	return a.door.conn.TopicPrefix
}

// attach gives the session to a new endpoint. An endpoint that has it is ended
// first [MQTT-3.1.4-3], and waited for: nothing of it is worked off later.
func (h *hub) attach(a attachment) (attached, error) {
	for {
		got, old, gone, err := h.tryAttach(a)
		if err != nil {
			return got, err
		}
		if old != nil && a.noWait {
			return got, conn.ErrWouldWait
		}
		if old != nil {
			old.Kick(mqtt.SessionTakenOver)
			<-old.Done()
			continue
		}
		if gone != nil {
			got.recorded = gone.kept
			h.end(gone)
		}
		if a.params.Expiry > 0 || got.present { // resumed to end with this connection is a change too
			h.router.Persist(store.Record{
				Kind: store.SessionKept, ClientID: a.id, Owner: string(a.owner), Prefix: a.prefix(), Expiry: a.params.Expiry,
			})
			got.recorded = true
		}
		if a.will != nil || got.hadWill {
			h.recordWill(a.id, a.will, a.door, a.who)
		}
		return got, nil
	}
}

// attached is a success of attach.
type attached struct {
	peer     *conn.Peer
	present  bool // the session existed
	recorded bool // a record was written
	hadWill  bool // one waited for its delay, and is gone now [MQTT-3.1.3-9]
}

// tryAttach returns the endpoint in the way, or attaches. gone is a session
// that Clean Start discarded [MQTT-3.1.2-4].
func (h *hub) tryAttach(a attachment) (ok attached, old endpoint, gone *client, err error) {
	r := &h.registry
	r.Lock()
	defer r.Unlock()
	if r.closed {
		return ok, nil, nil, mqtt.Errorf(mqtt.ServerUnavailable, "", "the server shuts down")
	}
	if a.door != nil && (a.door.lost(a.who) || revoked(a.endpoint)) { // since it was asked for; RightsChanged has looked, or looks later
		return ok, nil, nil, mqtt.Errorf(mqtt.BadUserNameOrPassword, "", "what proved the user is no more")
	}
	if e, is := r.ending[a.id]; is {
		return ok, e, nil, nil
	}
	cl := r.clients[a.id]
	foreign := cl != nil && cl.owner != a.owner
	if foreign && a.owner != gateway {
		return ok, nil, nil, errForeign
	}
	if cl != nil && cl.endpoint != nil {
		return ok, cl.endpoint, nil, nil
	}
	if !a.mayKeep(r.keeping, cl) {
		h.sessionsRefused.Add(1)
		return ok, nil, nil, mqtt.Errorf(mqtt.QuotaExceeded, "", "no more sessions that outlive their connection")
	}
	fresh := cl == nil || a.cleanStart || foreign
	if !h.afford(&a, fresh) {
		h.sessionsRefused.Add(1)
		return ok, nil, nil, mqtt.Errorf(mqtt.QuotaExceeded, "", "memory is short")
	}
	if cl != nil {
		h.stop(cl.expiry)
		h.stop(cl.delay)
		if fresh {
			gone, cl = cl, nil
			r.keeping.remove(gone)
		} else {
			ok.hadWill = cl.will != nil
			h.setWill(cl, nil) // back before the delay has passed [MQTT-3.1.3-9]
		}
	}
	ok.present = cl != nil
	if cl == nil {
		cl = &client{peer: conn.NewPeer(a.id, a.prefix(), a.limits, &h.home), owner: a.owner}
		r.clients[a.id] = cl
	}
	cl.endpoint, cl.will, cl.door, cl.who, cl.remote = a.endpoint, a.will, a.door, a.who, a.remote
	cl.since, cl.left = time.Now().UnixNano(), 0
	h.expire(cl)
	if a.params.Expiry > 0 {
		r.keeping.add(cl)
	}
	cl.peer.Attach(a.params, a.limits, a.endpoint)
	h.tell(a.id, true)
	ok.peer = cl.peer
	return ok, nil, gone, nil
}

// detach ends what attach began. A will is kept unless the end was normal; it
// is published now, or when its delay or the session ends [MQTT-3.1.3-9].
func (h *hub) detach(id string, e endpoint, end conn.End) {
	r := &h.registry
	r.Lock()
	cl := r.clients[id]
	if cl == nil || cl.endpoint != e {
		r.Unlock()
		return
	}
	h.tell(id, false)
	expiry := cl.peer.Detach()
	cl.endpoint, cl.since, cl.lastEnd = nil, time.Now().UnixNano(), end.Reason
	if end.Lost {
		cl.lastEnd = mqtt.UnspecifiedError
	}
	h.stop(cl.proof)
	cl.proof = nil
	noWill := end.Normal && cl.will != nil
	if end.Normal {
		h.setWill(cl, nil)
	}
	var now bequest
	var gone *client
	switch {
	case expiry == 0:
		h.remove(id, cl)
		gone = cl
	case cl.will != nil && (cl.will.Delay <= 0 || r.closed && !h.keepsWill(cl)):
		now = h.bequeath(cl)
	case cl.will != nil:
		cl.delay = h.after(cl.will.Delay, func() { h.willDue(cl) })
	}
	if gone == nil && expiry < session.NeverExpires && !r.closed {
		cl.expiry = h.after(expiry, func() { h.expired(id, cl) })
	}
	if gone == nil { // with the lock: who attaches next writes that it is back
		h.router.Persist(store.Record{
			Kind: store.SessionKept, ClientID: id, Owner: string(cl.owner), Prefix: cl.peer.Prefix(), Expiry: expiry, At: time.Now(), Sent: cl.peer.Unacknowledged(),
		})
	}
	r.Unlock()
	h.publishWill(now)
	if noWill {
		h.willGone(id)
	}
	if gone != nil {
		h.end(gone)
	}
}

// end removes what a session left in the router and publishes its will. The
// session must be out of the registry.
func (h *hub) end(cl *client) {
	for _, s := range cl.peer.Subscriptions() {
		h.router.Unsubscribe(cl.peer, s.Filter, false) // SessionEnded says it
	}
	h.passOn(cl.peer.TakeShared("", true))
	h.passSpilled(cl)
	if cl.kept {
		h.router.Persist(store.Record{Kind: store.SessionEnded, ClientID: cl.peer.ClientID()})
	}
	r := &h.registry
	r.Lock()
	if cl.ending != nil {
		delete(r.ending, cl.peer.ClientID())
		close(cl.ending)
	}
	will := h.bequeath(cl)
	r.ended.add(cl.peer)
	r.Unlock()
	cl.peer.Release()
	h.crowded(cl.peer, false)
	h.publishWill(will)
}

// expired ends a session nobody came back to.
func (h *hub) expired(id string, cl *client) {
	r := &h.registry
	r.Lock()
	if r.clients[id] != cl || cl.endpoint != nil {
		r.Unlock()
		return
	}
	h.remove(id, cl)
	if cl.owner != gateway {
		r.expired++
	}
	r.Unlock()
	h.end(cl)
}

// remove takes a session that nobody is attached to out of the registry, whose
// lock the caller holds; end comes next.
func (h *hub) remove(id string, cl *client) {
	h.stop(cl.expiry)
	h.stop(cl.delay)
	delete(h.registry.clients, id)
	h.registry.keeping.remove(cl)
	if cl.kept {
		cl.ending = make(ending)
		h.registry.ending[id] = cl.ending
	}
}

// after is time.AfterFunc for callbacks that close waits for. The caller holds
// the registry.
func (h *hub) after(d time.Duration, f func()) *time.Timer {
	h.timers.Add(1)
	return time.AfterFunc(d, func() {
		defer h.timers.Done()
		f()
	})
}

// stop stops a timer of after; nil is fine.
func (h *hub) stop(t *time.Timer) {
	if t != nil && t.Stop() {
		h.timers.Done()
	}
}

// close lets nobody in any more.
func (h *hub) close() {
	h.registry.Lock()
	defer h.registry.Unlock()
	h.registry.closed = true
}

// detachAll ends what is left after the network connections: in-process
// clients, queues, timers. Wills that wait are published where their sessions
// end with this process.
func (h *hub) detachAll() {
	r := &h.registry
	r.Lock()
	var endpoints []endpoint
	var queues []*Queue
	for _, cl := range r.clients {
		if cl.endpoint != nil {
			endpoints = append(endpoints, cl.endpoint)
		}
	}
	r.Unlock()
	for _, e := range endpoints {
		e.Kick(mqtt.ServerShuttingDown)
		<-e.Done()
	}
	r.Lock()
	var waiting []*client
	for _, cl := range r.clients {
		h.stop(cl.expiry)
		h.stop(cl.delay)
		if cl.will != nil && !h.keepsWill(cl) {
			waiting = append(waiting, cl)
		}
	}
	for _, q := range r.queues {
		queues = append(queues, q)
	}
	r.Unlock()
	h.loader.close()
	h.timers.Wait()
	for _, cl := range waiting {
		h.willDue(cl)
	}
	for _, q := range queues {
		q.Close()
	}
}
