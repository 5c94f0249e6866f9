package conn

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/auth"
	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Deadlines of one connection.
const (
	connectTimeout = 10 * time.Second // from accept to CONNECT
	writeTimeout   = 30 * time.Second // without a byte of progress
	closeTimeout   = time.Second      // for the last packet
)

// ErrWouldWait is the answer to a Request that may not wait.
var ErrWouldWait = errors.New("would wait for another connection")

// Server keeps the sessions.
type Server interface {
	// Connect authenticates a client, finds or makes its session and attaches
	// c to it, ending another connection of the session first. It waits for
	// that one to end, or has done nothing and answers ErrWouldWait if the
	// Request says so. Any other error is an *mqtt.Error for CONNACK.
	Connect(c *Conn, r *Request) (Accepted, error)
	// Exchange starts the enhanced authentication that r asks for; nil if the
	// method is not there.
	Exchange(c *Conn, r *Request) auth.Exchange
	// Reauthenticated is called when c's Identity was proved again.
	Reauthenticated(c *Conn)
	// Disconnect is called once for every successful Connect, after the last
	// packet was worked off.
	Disconnect(c *Conn, e End)
}

// Router carries out what a session asks for.
type Router interface {
	// Admit judges a PUBLISH before it changes any state.
	Admit(c *Conn, topic string, qos mqtt.QoS, retain bool) *mqtt.Error
	// Publish routes p; code is for its acknowledgement.
	Publish(now time.Time, p *packet.Publication) (code mqtt.ReasonCode, recorded bool)
	Subscribe(now time.Time, c *Conn, s mqtt.Subscription) mqtt.ReasonCode
	Unsubscribe(c *Conn, filter string) mqtt.ReasonCode
	// Resume delivers the next of the retained messages that wait for p to have
	// room; it reports whether there were any.
	Resume(now time.Time, p *Peer) bool
	Persist(p *Peer, c session.Change, number uint64)
}

// Barrier is the write barrier of the router.
type Barrier interface {
	Commit() uint64
	Status(sequence uint64) (done bool, err error)
	Pressed() bool
	Refuses(topic string, size int) mqtt.ReasonCode
	// Settled waits until all messages that peers have taken are in the store's
	// hands, so that Commit covers them.
	Settled()
	Notify(sequence uint64, wake func())
}

// Limits are announced to and enforced on every connection.
type Limits struct {
	PacketSize        uint32 // bytes, of what the client sends
	ReceiveMaximum    uint16
	TopicAliasMaximum uint16
	TopicLevels       int
	TopicLength       int // bytes
	// KeepAliveFactor times Keep Alive is the silence that ends a connection;
	// the standard says 1.5 [MQTT-3.1.2-22].
	KeepAliveFactor float64
	// MessageRate and ByteRate bound the PUBLISH packets of one client a
	// second; 0 is no limit.
	MessageRate, ByteRate float64
}

// Config is shared by all connections of a listener.
type Config struct {
	Listener string // its name
	Server   Server
	Router   Router
	Barrier  Barrier
	Limits   Limits
	Features Features
	// TopicPrefix goes before every topic that the clients name.
	TopicPrefix string
	Log         *slog.Logger
	Counters    *Counters
	Memory      *memory.Account
	// Rights changes when answers of Admit may have changed.
	Rights *atomic.Uint64
}

// Counters are shared by all connections of a broker: of what is rare. What
// each packet changes is in Traffic.
type Counters struct {
	Connects                        atomic.Uint64 // CONNECT packets
	PublishRefused                  atomic.Uint64 // not authorized, illegal topic, beyond a limit
	Throttled                       atomic.Uint64 // how often a client was not read because of its rate
	TooLarge                        atomic.Uint64 // outgoing, beyond a client's Maximum Packet Size
	ProtocolErrors, Panics          atomic.Uint64
	SlowConsumers, KeepAliveExpired atomic.Uint64
}

// End says how a Network Connection ended.
type End struct {
	Normal bool            // DISCONNECT 0x00: the will is discarded [MQTT-3.14.4-3]
	Lost   bool            // the socket ended without a word
	Reason mqtt.ReasonCode // unless Lost
}

// Conn is one Network Connection. What a PUBLISH looks at lies close together:
// a message that comes alone finds little of it in the caches.
type Conn struct {
	cfg  *Config
	loop driver // nil: goroutines of its own drive the connection

	// What CONNECT fixed; set before Server.Connect is called, then constant.
	request *Request
	peer    *Peer
	pace    *pace // nil without rates

	// The reader's own.
	*scratch
	topics   *topics      // nil before the first PUBLISH
	last     time.Time    // when the last packet came
	away     func() error // what the loop has to do apart; nil for nothing
	sequence uint64       // of the last commit
	silence  time.Duration
	end      End
	recorded bool // a record was written since the last commit
	patient  bool // what is worked off is worked off apart and may wait
	asked    bool // since the loop last looked, a packet came that is no PUBACK
	waiting  bool // the session has something that Receive Maximum holds back; the writer's own
	mayCrowd bool // something was parked since crowded was false
	ahead    bool // the next packet is a PUBLISH that waits until acknowledgements have left
	refused  refusals

	maxIn   int32        // Receive Maximum announced; 0 for 3.x
	unacked atomic.Int32 // PUBLISH with QoS > 0 whose acknowledgement did not leave
	// granting counts the SUBACKs that did not leave: no message before them.
	granting atomic.Int32
	// While a batch of input is worked off, messages that it brings back to
	// this connection wait for its end: one write for both.
	feeding, missed atomic.Bool

	received meter
	sock     socket // the loop's own
	w        writer

	// Guarded by the state lock of peer.
	sentAliases map[string]uint16
	passed      *[]byte // messages that went past the session, encoded; nil for none
	passing     uint32  // how many
	payload     uint32  // bytes of their payloads
	passedHeld  int32   // what passed counts as output
	flowing     bool    // CONNACK has left, messages may follow

	out   Traffic // of this write; the writer's own
	waits uint64  // sequence that QoS 2 messages wait for; the writer's own
	sent  meter

	held     held
	aliases  *[]string // the reader's, by Topic Alias - 1; nil before the first
	nc       net.Conn  // nil in a loop
	identity *auth.Identity
	exchange *exchange // an enhanced authentication under way
	far      far       // the other side; complete after the handshake
}

// driver is an event loop, seen from the connections it drives.
type driver interface {
	// mark asks for what is there to be written, soon and by the loop. It never
	// waits and may be called from any goroutine.
	mark(c *Conn)
	// apart calls f, which may wait for something, away from the loop; nothing
	// else of c is worked off meanwhile. Its error ends c.
	apart(c *Conn, f func() error)
}

// scratch is what the work on one packet needs and the next one uses again.
type scratch struct {
	view        packet.View
	publication packet.Publication
	effects     []session.Effect
	reasons     []mqtt.ReasonCode
	why         string   // a filter of this packet was refused: for the Reason String
	in          Traffic  // of this batch of input
	packets     int      // of this round of a loop
	pending     *pending // acknowledgements of this batch of input
}

func newScratch() *scratch { return &scratch{pending: new(pending)} }

// New makes a connection of an accepted socket; Serve runs it, or Loops.Take.
func New(cfg *Config, nc net.Conn) *Conn {
	return &Conn{cfg: cfg, nc: nc, far: farOf(listen.PeerOf(nc))}
}

// Peer is the session's peer, Request what the client asked for; both are nil
// before Server.Connect.
func (c *Conn) Peer() *Peer { return c.peer }

// Request returns the CONNECT of this connection.
func (c *Conn) Request() *Request { return c.request }

// Identity is who the client proved to be; nil before Server.Connect.
func (c *Conn) Identity() *auth.Identity { return c.identity }

// Transport is what the transport knows about the other side.
func (c *Conn) Transport() listen.Peer { return c.far.peer() }

// far is a listen.Peer that costs little when there is only an address.
type far struct {
	remote string
	more   *listen.Peer // nil: remote is all there is to know
	local  bool
}

func farOf(p listen.Peer) far {
	if p == (listen.Peer{Remote: p.Remote, Local: p.Local}) {
		return far{remote: p.Remote, local: p.Local}
	}
	return far{remote: p.Remote, local: p.Local, more: &p}
}

func (f *far) peer() listen.Peer {
	if f.more != nil {
		return *f.more
	}
	return listen.Peer{Remote: f.remote, Local: f.local}
}

// End says how the connection ended, once Done is closed.
func (c *Conn) End() End { return c.end }

// Done is closed when the connection has ended and Server.Disconnect returned.
func (c *Conn) Done() <-chan struct{} {
	w := &c.w
	w.Lock()
	defer w.Unlock()
	if w.done == nil {
		w.done = make(chan struct{})
		if w.gone {
			close(w.done)
		}
	}
	return w.done
}

// PreConnect reports whether no CONNECT was accepted yet, and the connection
// does not end.
func (c *Conn) PreConnect() bool {
	c.w.Lock()
	defer c.w.Unlock()
	return !c.w.open && !c.w.closing
}

// HasHandshake reports whether the transport has a handshake of its own.
func (c *Conn) HasHandshake() bool {
	_, ok := c.nc.(listen.Handshaker)
	return ok
}

// Begun reports whether the client has begun that handshake.
func (c *Conn) Begun() bool {
	b, ok := c.nc.(interface{ Begun() bool })
	return ok && b.Begun()
}

// Revoked reports whether the transport's proof of the client is no more.
func (c *Conn) Revoked() bool {
	r, ok := c.nc.(interface{ Revoked() bool })
	return ok && r.Revoked()
}

// leave makes Done report the end.
func (c *Conn) leave() {
	w := &c.w
	w.Lock()
	defer w.Unlock()
	w.gone = true
	if w.done != nil {
		close(w.done)
	}
}

// Kick ends the connection with a reason; it does not wait.
func (c *Conn) Kick(code mqtt.ReasonCode) {
	c.shut(&mqtt.Error{Code: code, Msg: strings.ToLower(code.String())})
}

// Wake tells the connection that its session may have something to send.
func (c *Conn) Wake() {
	if c.loop != nil {
		c.loop.mark(c)
		return
	}
	c.missed.Store(true)
	if !c.feeding.Load() {
		c.kickWriter()
	}
}

// about appends to the attributes of a log line what names the connection.
func (c *Conn) about(args ...any) []any {
	args = append(args, "remote", c.far.remote)
	if c.peer != nil {
		args = append(args, "client_id", c.peer.id)
	}
	return args
}

func (c *Conn) version() mqtt.Version {
	if c.request == nil {
		return mqtt.V311
	}
	return c.request.Version
}
