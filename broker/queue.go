package broker

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/internal/overflow"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// QueueOptions describe a durable consumer.
type QueueOptions struct {
	Name        string              // unique among queues
	Filters     []mqtt.Subscription // overlapping ones queue a message once
	MaxMessages int                 // default 10000; without bound if the broker keeps its state on disk
	MaxBytes    int64               // default 16 MiB
	MaxAge      time.Duration       // of an entry; 0 is no bound
	Overflow    Overflow
	// InFlight is how many entries may be handed out and not yet removed; default
	// 1000. If the process is killed meanwhile, so many count as handed out to
	// the next one, and those whose removal may not be recorded.
	InFlight int
	// Skip is the Client Identifier whose messages are never queued: what a
	// bridge brought in does not go out again.
	Skip   string
	Intake Intake // nil: every message is queued as it is
}

// Overflow says what gives way when a queue is full.
type Overflow = overflow.Policy

// The policies.
const (
	DropOldest = overflow.DropOldest // the oldest that was never sent or handed out
	DropNewest = overflow.DropNewest // the new message
	Reject     = overflow.Reject     // the new message; who publishes gets 0x97
	LastValue  = overflow.LastValue  // the older value of the same topic, else as DropOldest
	Downsample = overflow.Downsample // more and more of the new messages, from half full on
)

// ErrQueueClosed is returned by a Queue after Close or after the broker ended.
var ErrQueueClosed = errors.New("queue closed")

// Queue is a durable consumer: it keeps what its filters match until Remove or
// Acknowledged, within bounds, as Overflow says. Its head is in memory, the rest
// on the broker's disk; without one all is in memory. Each entry keeps the
// message as it was published; its QoS is the lower of the message's and the
// filter's. Methods may be called from any goroutine; Next by one at a time.
type Queue struct {
	hub     *hub
	name    string
	skip    string
	intake  Intake
	filters []mqtt.Subscription
	wake    chan struct{}
	done    chan struct{}
	once    sync.Once

	state struct {
		sync.Mutex
		entries *store.Queue
		// retained are the retained messages queued while the filters are
		// subscribed one after the other; nil when that is over.
		retained map[*mqtt.Message]struct{}
		deleted  map[string]bool // see noteDeleted
		dropped  uint64          // how many entries had been when deleted was made
		asked    bool            // the router asks rejects before it publishes
		settled  int             // entries acknowledged since the last commit of Acknowledged
		promised uint64          // what that commit returned
		consumed bool            // entries were handed out since noteHanded
	}
	room store.Room // that load reads into, used again; only who calls Next has it
}

// AttachQueue makes a durable consumer; messages published from then on, and
// the retained ones its filters ask for, are queued.
func (b *Broker) AttachQueue(o QueueOptions) (*Queue, error) {
	if o.Name == "" || o.MaxMessages < 0 || o.MaxBytes < 0 {
		return nil, errors.New("attach queue: a name and bounds that are not negative are needed")
	}
	for _, s := range o.Filters {
		if err := topic.ValidFilter(s.Filter); err != nil {
			return nil, fmt.Errorf("attach queue %s: %w", o.Name, err)
		}
	}
	if b.durable != nil {
		or(&o.MaxMessages, math.MaxInt32)
	}
	or(&o.MaxMessages, 10000)
	or(&o.MaxBytes, 16<<20)
	or(&o.InFlight, 1000)
	q := &Queue{hub: b.hub, name: o.Name, skip: o.Skip, intake: o.Intake, filters: o.Filters, wake: make(chan struct{}, 1), done: make(chan struct{}), room: store.Room{Lends: true}}
	q.state.entries = store.NewQueue(store.QueueLimits{
		Messages: o.MaxMessages, Bytes: o.MaxBytes, Age: o.MaxAge, Overflow: o.Overflow, Spills: b.durable != nil,
	}, rand.Uint64N(1<<52))
	if err := b.hub.addQueue(q); err != nil {
		return nil, fmt.Errorf("attach queue %s: %w", o.Name, err)
	}
	q.reject()
	had, err := b.hub.restoreQueue(q, o.InFlight)
	if err != nil {
		return nil, err
	}
	q.noteHanded()
	b.hub.router.Keeper(+1)
	q.state.retained = make(map[*mqtt.Message]struct{})
	for _, s := range o.Filters {
		_, existed := had[s.Filter]
		if delete(had, s.Filter); existed {
			s.RetainHandling = mqtt.DoNotSendRetained // it was queued when the filter was new
		}
		b.hub.router.Subscribe(time.Now(), q, s, existed, true)
	}
	for filter := range had { // the filters have changed
		b.hub.router.Persist(store.Record{Kind: store.Unsubscribed, ClientID: q.ClientID(), Subscription: mqtt.Subscription{Filter: filter}})
	}
	q.state.Lock()
	q.state.retained = nil
	q.state.Unlock()
	return q, nil
}

func (h *hub) addQueue(q *Queue) error {
	r := &h.registry
	r.Lock()
	defer r.Unlock()
	if r.closed {
		return errors.New("the broker has ended")
	}
	if _, ok := r.queues[q.name]; ok {
		return errors.New("the name is taken")
	}
	r.queues[q.name] = q
	return nil
}

// ClientID names the queue towards the router. Queue names and Client
// Identifiers are apart: no Client Identifier contains U+0000 [MQTT-1.5.4-2].
func (q *Queue) ClientID() string { return "\x00" + q.name }

// Online reports true: a queue takes messages at any time.
func (q *Queue) Online() bool { return true }

// Takes reports true, likewise.
func (q *Queue) Takes(*packet.Publication, mqtt.QoS) bool { return true }

// Deliver queues a message; the router calls it.
func (q *Queue) Deliver(now time.Time, p *packet.Publication, qos mqtt.QoS, retained bool, _ *packet.Via) (number uint64) {
	if q.skip != "" && p.Peek().Publisher == q.skip || retained && !q.first(p.Message()) {
		return 0
	}
	m := p.Message()
	if qos != m.QoS {
		lower := *m
		lower.QoS = qos
		m = &lower
	}
	q.state.Lock()
	q.measure()
	q.noteDeleted(now, m)
	if q.intake != nil {
		number = q.admit(now, m)
	} else {
		number = q.state.entries.Push(now, m)
	}
	q.letGo()
	q.book(leastBooked)
	q.state.Unlock()
	q.signal()
	return number
}

// signal tells who waits that there may be an entry.
func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// reject lets the router ask before it publishes, if that is the policy.
func (q *Queue) reject() {
	q.state.Lock()
	begin := q.state.entries.Rejects() && !q.state.asked
	q.state.asked = q.state.asked || begin
	q.state.Unlock()
	if begin {
		q.hub.router.Reject(q.rejects)
	}
}

// Bound gives the queue other bounds; what is too much then gives way with the
// next message. Bytes must be positive.
func (q *Queue) Bound(bytes int64, age time.Duration, o Overflow) {
	q.state.Lock()
	q.state.entries.Bound(bytes, age, o)
	q.state.Unlock()
	q.reject()
}

// rejects reports whether a message of so many bytes to this topic would find no room.
func (q *Queue) rejects(name string, size int) bool {
	select {
	case <-q.done:
		return false
	default:
	}
	q.state.Lock()
	defer q.state.Unlock()
	if !q.state.entries.Rejects() || !slices.ContainsFunc(q.filters, func(s mqtt.Subscription) bool { return topic.Match(s.Filter, name) }) {
		return false
	}
	q.measure()
	return q.state.entries.Full(size)
}

// measure tells the entries whether the disk takes what they do not keep. The
// caller holds the state.
func (q *Queue) measure() {
	if q.hub.durable != nil {
		q.state.entries.Tight(q.hub.durable.Tight(), q.hub.durable.Spilled())
	}
}

// letGo tells the store which entries were dropped. The caller holds the state.
func (q *Queue) letGo() {
	gone, cuts := q.state.entries.Gone()
	for _, seq := range gone {
		q.hub.router.Persist(store.Record{Kind: store.DeliveryDone, ClientID: q.ClientID(), Number: seq})
	}
	for _, c := range cuts {
		q.hub.router.Persist(store.Record{Kind: store.LineCut, ClientID: q.ClientID(), From: c.From, Number: c.To, Count: c.Count})
	}
}

// leastBooked is what the account of memory may be wrong by for a queue, in
// bytes: most entries come and go.
const leastBooked = 1 << 10

// book tells the account what is in memory. The caller holds the state.
func (q *Queue) book(least int) {
	if messages, entries := q.state.entries.Bill(least); messages != 0 || entries != 0 {
		holdQueued(q.hub.memory, messages, entries)
	}
}

// holdQueued books what queues, and the lines of the store, take more than
// before: messages, and what is beside them.
func holdQueued(a *memory.Account, messages, entries int) {
	a.Add(memory.Messages, messages)
	a.Add(memory.Queues, entries)
}

// first reports whether a retained message comes for the first time: each
// filter that matches it brings it along.
func (q *Queue) first(m *mqtt.Message) bool {
	q.state.Lock()
	defer q.state.Unlock()
	if q.state.retained == nil {
		return true
	}
	_, again := q.state.retained[m]
	q.state.retained[m] = struct{}{}
	return !again
}

// Stats describes the queue now.
func (q *Queue) Stats() mqtt.QueueStats {
	q.state.Lock()
	defer q.state.Unlock()
	return q.state.entries.Stats(time.Now())
}

// Queues describes all queues that are attached, by name.
func (b *Broker) Queues() map[string]mqtt.QueueStats {
	r := &b.hub.registry
	r.Lock()
	queues := maps.Clone(r.queues)
	r.Unlock()
	all := make(map[string]mqtt.QueueStats, len(queues))
	for name, q := range queues {
		all[name] = q.Stats()
	}
	return all
}

// Close detaches the consumer; Next returns ErrQueueClosed. The entries of a
// queue in memory are gone with it.
func (q *Queue) Close() error {
	q.once.Do(func() {
		for _, s := range q.filters {
			q.hub.router.Unsubscribe(q, s.Filter, false)
		}
		q.hub.router.Keeper(-1)
		q.state.Lock()
		q.state.entries.Release()
		q.book(1)
		q.state.Unlock()
		q.hub.registry.Lock()
		delete(q.hub.registry.queues, q.name)
		q.hub.registry.Unlock()
		close(q.done)
	})
	return nil
}
