package conn

import (
	"slices"
	"unsafe"

	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// pageMessages is how many retained messages enter a session at a time.
const pageMessages = 64

const pointerSize = int(unsafe.Sizeof(uintptr(0)))

// backlog are the retained messages of one subscription that are still to be
// delivered. They stay in the retained tree, or are passed over; here are
// only pointers, as many as the session's queue may have bytes for.
type backlog struct {
	subscription mqtt.Subscription
	via          *packet.Via
	messages     []*mqtt.Message
}

// Later keeps retained messages until the session has room; see router.Pacer.
// A subscription that is made again starts anew.
func (p *Peer) Later(s mqtt.Subscription, via *packet.Via, messages []*mqtt.Message) bool {
	st := &p.state
	st.Lock()
	p.forget(s.Filter)
	if st.backlog == nil {
		st.backlog = new([]backlog)
	}
	room := (p.waiting()+len(messages))*pointerSize <= st.session.Limits().QueueBytes
	if room {
		*st.backlog = append(*st.backlog, backlog{s, via, messages})
		p.home.Memory.Add(memory.Messages, len(messages)*pointerSize)
	}
	w := st.waker
	st.Unlock()
	if w != nil {
		w.Wake()
	}
	return room
}

// Page takes the next messages out of the backlog if nothing waits in the
// session; none otherwise.
func (p *Peer) Page() (s mqtt.Subscription, via *packet.Via, messages []*mqtt.Message) {
	st := &p.state
	st.Lock()
	defer st.Unlock()
	if st.backlog == nil || len(*st.backlog) == 0 || !st.session.Drained() {
		return s, nil, nil
	}
	b := &(*st.backlog)[0]
	n := min(len(b.messages), pageMessages)
	s, via, messages = b.subscription, b.via, b.messages[:n]
	p.home.Memory.Add(memory.Messages, -n*pointerSize)
	if b.messages = b.messages[n:]; len(b.messages) == 0 {
		if *st.backlog = slices.Delete(*st.backlog, 0, 1); len(*st.backlog) == 0 {
			st.backlog = nil
		}
	}
	return s, via, messages
}

// forget drops the backlog of a subscription; the caller holds the state.
func (p *Peer) forget(filter string) {
	if all := p.state.backlog; all != nil {
		before := p.waiting()
		*all = slices.DeleteFunc(*all, func(b backlog) bool { return b.subscription.Filter == filter })
		p.home.Memory.Add(memory.Messages, (p.waiting()-before)*pointerSize)
	}
}

// waiting is how many retained messages wait; the caller holds the state.
func (p *Peer) waiting() (n int) {
	if p.state.backlog != nil {
		for _, b := range *p.state.backlog {
			n += len(b.messages)
		}
	}
	return n
}

// Subscription returns the subscription with exactly this Topic Filter.
func (p *Peer) Subscription(filter string) (mqtt.Subscription, bool) {
	p.state.Lock()
	defer p.state.Unlock()
	return p.state.session.Subscription(filter)
}
