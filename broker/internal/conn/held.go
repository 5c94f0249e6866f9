package conn

import (
	"strings"
	"sync/atomic"

	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// What a connection takes of memory in any case, in bytes: its state and
// buffers up to the small sizes below.
const (
	plainSize = 3 << 10
	// LayeredSize is that of a connection with TLS or WebSocket.
	LayeredSize = 40 << 10

	smallInput  = 1 << 10  // the start of a packet
	smallRead   = 16 << 10 // the buffer of a reading goroutine: one record of TLS
	smallOutput = 4 << 10

	aliasSize = 48 // of a Topic Alias towards the client, beside the topic
)

// errInput ends a connection whose packets come slowly while too many others'
// do, too.
var errInput = mqtt.Errorf(mqtt.PacketTooLarge, "", "no memory for a packet that comes in parts")

// held is what a connection has taken of the account, in bytes.
type held struct {
	size   int32 // set by Hold
	input  int32 // the reader's own
	names  atomic.Int32
	output atomic.Int32
}

// Hold asks the account for what a connection takes in any case, before it is
// served.
func (c *Conn) Hold() bool {
	size := plainSize
	if c.HasHandshake() {
		size = LayeredSize
	}
	if !c.cfg.Memory.Take(memory.Connections, size) {
		return false
	}
	c.held.size = int32(size)
	return true
}

// Release gives back all that the connection took of the account; it has
// ended.
func (c *Conn) Release() {
	a, h := c.cfg.Memory, &c.held
	a.Add(memory.Connections, -int(h.size+h.names.Swap(0)))
	a.Add(memory.Output, -int(h.output.Swap(0)))
	a.Add(memory.Input, -int(h.input))
	h.size, h.input = 0, 0
}

// holdInput says how large the buffer of a packet's start will be. It reports
// false if there is no memory for it.
func (c *Conn) holdInput(size, small int) bool {
	more := max(size-small, 0) - int(c.held.input)
	if more > 0 && !c.cfg.Memory.Take(memory.Input, more) {
		return false
	}
	if more < 0 {
		c.cfg.Memory.Add(memory.Input, more)
	}
	c.held.input += int32(more)
	return true
}

// holdOutput counts bytes that wait for the socket; any goroutine may call it.
func (c *Conn) holdOutput(n int) {
	if n != 0 {
		c.held.output.Add(int32(n))
		c.cfg.Memory.Add(memory.Output, n)
	}
}

// holdNames counts bytes of Topic Names that the connection remembers.
func (c *Conn) holdNames(n int) {
	if n != 0 {
		c.held.names.Add(int32(n))
		c.cfg.Memory.Add(memory.Connections, n)
	}
}

// Output is how many bytes wait for the socket, beyond a little. Any goroutine
// may ask.
func (c *Conn) Output() int { return int(c.held.output.Load()) }

// beyond is what a buffer of this capacity counts as output.
func beyond(capacity int) int {
	if capacity <= smallOutput {
		return 0
	}
	return capacity
}

// What a session and a subscription take of memory, in bytes; about, here and
// in the router, with the nodes of the tree that nobody else needs.
const (
	peerSize         = 1280
	subscriptionBase = 256
	subscriptionNode = 72 // for each level
	receivedSize     = 16 // of a Packet Identifier of the client's
)

// PeerSize is what the account must have for the session of a Client
// Identifier.
func PeerSize(id string) int { return peerSize + 2*len(id) }

func subscriptionSize(filter string) int {
	return subscriptionBase + 2*len(filter) + subscriptionNode*strings.Count(filter, "/")
}

// least is how many bytes a session must hold more than is booked, or less,
// before they are: most messages come and go.
const least = 1 << 10

// settle books what the session holds. The caller holds the state.
func (p *Peer) settle() {
	if n := p.state.session.Bill(least); n != 0 {
		p.home.Memory.Add(memory.Messages, n)
	}
	n := p.state.session.Receiving()
	if more := n - int(p.booked); max(more, -more) >= least/receivedSize {
		p.bookIdentifiers(n)
	}
	if full, turned := p.state.session.Crowded(); turned {
		p.home.Crowded(p, full)
	}
}

func (p *Peer) bookIdentifiers(n int) {
	p.home.Memory.Add(memory.Identifiers, (n-int(p.booked))*receivedSize)
	p.booked = uint16(n)
}

// Release gives back to the account all that the session holds: it has ended,
// and nothing can be delivered any more.
func (p *Peer) Release() {
	st := &p.state
	st.Lock()
	defer st.Unlock()
	a := p.home.Memory
	for _, sub := range st.session.Subscriptions() {
		a.Add(memory.Subscriptions, -subscriptionSize(sub.Filter))
	}
	a.Add(memory.Sessions, -PeerSize(p.id))
	a.Add(memory.Messages, -p.waiting()*pointerSize)
	st.backlog = nil
	st.session.Release()
	a.Add(memory.Messages, st.session.Bill(1))
	p.bookIdentifiers(0)
}
