package session

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/overflow"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// fakeStore is the store as a slice: what a session has in its line, in order.
type fakeStore struct {
	entries []KeptDelivery
	last    uint64
}

func (h *fakeStore) index(number uint64) int {
	return slices.IndexFunc(h.entries, func(e KeptDelivery) bool { return e.Number == number })
}

func (h *fakeStore) remove(from, to uint64) {
	h.entries = slices.DeleteFunc(h.entries, func(e KeptDelivery) bool { return e.Number >= from && e.Number <= to })
}

// read is what the store answers: as many as fit into limit bytes.
func (h *fakeStore) read(after uint64, limit int) (some []KeptDelivery, upTo uint64) {
	upTo = after
	for i, size := 0, 0; i < len(h.entries) && size < limit; i++ {
		if e := h.entries[i]; e.Number > after {
			some, size, upTo = append(some, e), size+e.Message.Size(), e.Number
		}
	}
	return some, upTo
}

// blocks are what it says it has, in parts of about n entries.
func (h *fakeStore) blocks(n int) (all []Block) {
	for part := range slices.Chunk(h.entries, n) {
		b := Block{First: part[0].Number, Last: part[len(part)-1].Number, Messages: len(part)}
		for _, e := range part {
			b.Bytes += e.Message.Size()
		}
		all = append(all, b)
	}
	return all
}

// spiller is a session with the store behind it, and what the client has.
type spiller struct {
	t      *testing.T
	s      *Session
	store  fakeStore
	limits Limits
	asked  bool
	n      uint64
	sent   uint64   // the last place sent for the first time
	flying []uint64 // places that were sent, in order
}

func spillLimits(o overflow.Policy) Limits {
	return Limits{QueueMessages: 400, QueueBytes: 1 << 20, Subscriptions: 1, Overflow: o, Spills: true}
}

func newSpiller(t *testing.T, o overflow.Policy) *spiller {
	p := &spiller{t: t, limits: spillLimits(o)}
	p.s = New(&p.limits)
	p.connect()
	return p
}

func (p *spiller) connect() {
	p.s.Connect(Params{Version: mqtt.V5, ReceiveMaximum: 10, Expiry: time.Hour})
	p.s.Clear(math.MaxUint64)
}

func (p *spiller) deliver(qos mqtt.QoS, size int) {
	p.n++
	m := &mqtt.Message{Topic: fmt.Sprint("t", p.n%5), Payload: binary.BigEndian.AppendUint64(make([]byte, 0, 8+size), p.n)[:8+size], QoS: qos}
	number := p.s.Deliver(new(packet.Publication).Own(m), qos, false, nil)
	p.letGo()
	if number > 0 {
		p.store.entries, p.store.last = append(p.store.entries, KeptDelivery{Number: number, Message: m, QoS: qos}), number
	}
}

// letGo is what conn.Peer does after everything.
func (p *spiller) letGo() {
	for _, n := range p.s.Gone() {
		p.given(n, n)
	}
	for _, c := range p.s.Cuts() {
		p.given(c.From, c.To)
	}
	p.asked = p.s.Ask() || p.asked
}

// given takes what was given up out of the store. With overflow.DropOldest nothing older
// is kept that was not sent.
func (p *spiller) given(from, to uint64) {
	if p.limits.Overflow == overflow.DropOldest {
		for _, e := range p.store.entries {
			if e.Number > p.sent && e.Number < from && p.s.out.counts.Dropped.Expired == 0 {
				p.t.Fatalf("%d to %d were given up, %d was not", from, to, e.Number)
			}
		}
	}
	p.store.remove(from, to)
	p.flying = slices.DeleteFunc(p.flying, func(n uint64) bool { return n >= from && n <= to })
}

func (p *spiller) load(limit int) {
	if !p.asked {
		return
	}
	p.asked = false
	after, last := p.s.Asked()
	some, upTo := p.store.read(after, limit)
	if len(some) == 0 {
		upTo = max(upTo, last)
	}
	p.s.Load(some, upTo)
	p.letGo()
}

// next takes what may be sent; true if there was something.
func (p *spiller) next() bool {
	m, ok := p.s.Next(time.Now())
	p.letGo()
	if !ok || m.QoS == mqtt.AtMostOnce {
		return ok
	}
	i := slices.IndexFunc(p.store.entries, func(e KeptDelivery) bool {
		return e.Number > p.sent && !slices.Contains(p.flying, e.Number)
	})
	if again := slices.IndexFunc(p.flying, func(n uint64) bool { return uint16(identifier(n)) == m.ID }); again >= 0 {
		i = p.store.index(p.flying[again])
		if !m.Dup {
			p.t.Fatalf("%d comes again without DUP", p.flying[again])
		}
	} else if i >= 0 {
		p.sent = p.store.entries[i].Number
		p.flying = append(p.flying, p.sent)
	}
	if i < 0 || p.store.entries[i].Message != m.Message || uint16(identifier(p.store.entries[i].Number)) != m.ID {
		p.t.Fatalf("sent %x under %d, the store says %d of %v", m.Message.Payload[:8], m.ID, i, p.flying)
	}
	return true
}

func (p *spiller) acknowledge(k int) {
	if len(p.flying) == 0 {
		return
	}
	n := p.flying[k%len(p.flying)]
	out, err := p.s.Step(time.Now(), &packet.View{Type: packet.PUBACK, ID: uint16(identifier(n))}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range out {
		if e.Kind == Persist && e.Change == DeliveryDone {
			p.store.remove(e.Number, e.Number)
			p.flying = slices.DeleteFunc(p.flying, func(f uint64) bool { return f == e.Number })
		}
	}
	p.letGo()
}

// restart begins again with what the store has.
func (p *spiller) restart(n int) {
	k := Kept{Expiry: time.Hour, Last: p.store.last, MaybeSent: len(p.flying)}
	if len(p.store.entries) > 20 {
		k.Blocks = p.store.blocks(n)
	} else {
		k.Deliveries = slices.Clone(p.store.entries)
	}
	p.s = Restore(&p.limits, &k)
	p.asked = false
	p.letGo()
}

func (p *spiller) check(exact bool) {
	c := p.s.Counts()
	waiting, bytes := p.s.Waiting()
	if c.Accepted != c.Done+c.Dropped.Total()+uint64(waiting) || bytes < 0 || p.s.InMemory() > 2*headBytes+10*12000 {
		p.t.Fatalf("%+v, %d wait, %d bytes, %d in memory", c, waiting, bytes, p.s.InMemory())
	}
	qos0 := 0
	for i := range p.s.out.queue.len() {
		if p.s.out.queue.at(i).qos == mqtt.AtMostOnce {
			qos0++
		}
	}
	if exact && (waiting-qos0 != len(p.store.entries) || c.Dropped.Lost > 0) {
		p.t.Fatalf("%d wait, the store has %d, %+v", waiting-qos0, len(p.store.entries), c.Dropped)
	}
}

// FuzzSpill drives a session that leaves to the store what does not fit into
// memory, against the store as a slice: all comes, once, in order, under the
// identifier that follows from its place, whatever happens between.
func FuzzSpill(f *testing.F) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 0))
		ops := make([]byte, 400)
		for i := range ops {
			if ops[i] = byte(rng.Uint32()); rng.IntN(2) == 0 {
				ops[i] &= 0xF8 // grow
			}
		}
		f.Add(ops, byte(seed))
	}
	f.Fuzz(raceRest)
}

func raceRest(t *testing.T, ops []byte, policy byte) {
	if len(ops) > 400 {
		return
	}
	p := newSpiller(t, overflow.Policy(policy%5))
	exact := true
	for _, op := range ops {
		arg := int(op >> 3)
		switch op & 7 {
		case 0, 1:
			p.deliver(mqtt.AtLeastOnce, arg*300)
		case 2:
			for range 1 + arg%8 {
				p.next()
			}
		case 3:
			p.load(16 << 10)
		case 4:
			p.acknowledge(arg % 3)
		case 5:
			p.deliver(mqtt.AtMostOnce, arg*10)
		case 6:
			if p.s.Online() {
				p.s.Disconnect()
			} else {
				p.connect()
			}
			if arg%2 == 0 {
				p.s.Shed(1 + arg%4)
			}
			p.letGo()
		case 7:
			switch {
			case arg < 4:
				exact = false // what lies between two places is an estimate from now on
				p.restart(1 + arg*20)
			case arg < 8:
				p.s.Tight(arg%2 == 0)
			default:
				for range arg {
					p.deliver(mqtt.AtLeastOnce, 40*arg)
				}
			}
		}
		p.check(exact)
	}
	if !p.s.Online() {
		p.connect()
	}
	for quiet := 0; quiet < 15; quiet++ { // more than what is in flight
		if p.next() {
			quiet = 0
		}
		p.acknowledge(0)
		p.load(64 << 10)
	}
	p.check(exact)
	if waiting, bytes := p.s.Waiting(); waiting != 0 || bytes != 0 || len(p.store.entries) != 0 || p.s.Spilled() {
		t.Fatalf("%d wait, %d bytes; the store has %d, %d are in flight of %v, %+v", waiting, bytes, len(p.store.entries), p.s.InFlight(), p.flying, p.s.out.rest)
	}
}

// A restart takes over how much the store has, however it is cut into blocks, and
// marks as sent again only what may have been sent.
func TestRestoredRest(t *testing.T) {
	const messages, size = 1000, 500
	var h fakeStore
	k := &Kept{Expiry: time.Hour, Last: messages, MaybeSent: 2}
	for n := range uint64(messages) {
		h.entries = append(h.entries, KeptDelivery{Number: n + 1, Message: message(string(make([]byte, size))), QoS: mqtt.AtLeastOnce})
	}
	k.Blocks = h.blocks(messages)
	l := Limits{QueueMessages: messages, QueueBytes: 1 << 20, Subscriptions: 1, Spills: true}
	s := Restore(&l, k)
	s.Connect(Params{Version: mqtt.V5, ReceiveMaximum: 4, Expiry: time.Hour})
	if n, bytes := s.Waiting(); n != messages || bytes != k.Blocks[0].Bytes {
		t.Errorf("%d messages of %d bytes wait, the store has %d of %d", n, bytes, messages, k.Blocks[0].Bytes)
	}
	if !s.Ask() {
		t.Fatal("nothing is asked for")
	}
	after, _ := s.Asked()
	s.Load(h.read(after, 16<<10))
	for n := range uint64(4) {
		m, ok := s.Next(time.Now())
		if !ok || m.ID != uint16(n+1) || m.Dup != (n < 2) {
			t.Errorf("place %d: identifier %d, DUP %t, %t", n+1, m.ID, m.Dup, ok)
		}
	}
}

// While the disk takes nothing, what waits for it in memory is bounded, whatever
// the bounds of the queue.
func TestADiskThatTakesNothing(t *testing.T) {
	l := Limits{QueueMessages: 1 << 20, QueueBytes: 1 << 30, Subscriptions: 1, Spills: true}
	s := New(&l)
	s.Connect(Params{Version: mqtt.V5, ReceiveMaximum: 10, Expiry: time.Hour})
	deliver := func() bool {
		return s.Deliver(new(packet.Publication).Own(message(string(make([]byte, 1000)))), mqtt.AtLeastOnce, false, nil) > 0
	}
	for !s.Spilled() {
		deliver()
	}
	s.Tight(true)
	_, before := s.Waiting()
	for range 1000 {
		deliver()
	}
	if _, bytes := s.Waiting(); bytes-before > maxTightBytes || bytes-before < maxTightBytes/2 {
		t.Errorf("%d bytes wait for the disk", bytes-before)
	}
	if c := s.Counts(); c.Dropped.Full == 0 || c.Dropped.Total() != c.Dropped.Full {
		t.Errorf("%+v", c.Dropped)
	}
	if s.Tight(false); !deliver() {
		t.Error("nothing is taken when the disk is there again")
	}
}
