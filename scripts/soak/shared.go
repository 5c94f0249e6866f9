package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// group is one Shared Subscription. It always has a member, so that each
// message that was acknowledged must reach one of them.
type group struct {
	filter string // "$share/name/filter"
	qos    mqtt.QoS

	mu   sync.Mutex
	owed map[message]bool // acknowledged to the publisher, not seen yet
	seen map[message]receipt
}

type message struct {
	stream uint32
	number uint64
}

// receipt says who got a message.
type receipt struct {
	member *inbox
	at     time.Time
	dup    bool
}

func newGroup(filter string, qos mqtt.QoS) *group {
	return &group{filter: filter, qos: qos, owed: make(map[message]bool), seen: make(map[message]receipt)}
}

func newReceipt(member *inbox, dup bool) receipt {
	return receipt{member: member, at: time.Now(), dup: dup}
}

// owe is called when the publisher was told that the message is safe. One of
// QoS 2 may go with the session of the member it was sent to [MQTT-4.8.2-5].
func (g *group) owe(s *stream, n uint64) {
	if g.qos == mqtt.ExactlyOnce && s.qos == mqtt.ExactlyOnce {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m := message{s.id, n}
	if g.seen[m].member == nil {
		g.owed[m] = true
	}
}

// take records that a member received the message. Another member may get it
// only if it has QoS 1 and the session of one of them has ended, as it may
// have left before its acknowledgement arrived, or if the publisher sent it
// twice.
func (g *group) take(s *stream, member *inbox, d delivery) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := message{d.stream, d.number}
	receipt, first := g.seen[m], g.seen[m].member
	g.seen[m] = newReceipt(member, d.dup)
	delete(g.owed, m)
	if first == nil || s.wasRepeated(d.number) {
		return nil
	}
	if first == member {
		if d.qos == 1 && d.dup {
			return nil
		}
		return fmt.Errorf("%s: number %d of stream %d came twice to one member", g.filter, d.number, d.stream)
	}
	// Which of them came first to the server is not known here.
	if !first.over() && !member.over() || d.qos == mqtt.ExactlyOnce {
		return fmt.Errorf("%s: number %d of stream %d (QoS %d) came to two members, first %v ago (DUP %v) to %s",
			g.filter, d.number, d.stream, s.qos, time.Since(receipt.at).Round(time.Millisecond), receipt.dup, first)
	}
	return nil
}

func (g *group) missing() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	for m := range g.owed {
		return fmt.Sprintf("%s: number %d of stream %d, and %d more", g.filter, m.number, m.stream, len(g.owed)-1)
	}
	return ""
}
