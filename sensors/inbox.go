package sensors

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// dispatcher moves messages that arrive for devices from their sessions into
// their inboxes. One goroutine does so for all: a device that nobody commands
// costs no stack, and a heartbeat counts at once, whatever its device is busy
// with.
type dispatcher struct {
	wake chan struct{}

	mu  sync.Mutex
	due []*owner // each once
}

func newDispatcher() *dispatcher { return &dispatcher{wake: make(chan struct{}, 1)} }

// notify has the dispatcher look into the session of a device; it returns at
// once.
func (p *dispatcher) notify(o *owner) {
	p.mu.Lock()
	if !slices.Contains(p.due, o) {
		p.due = append(p.due, o)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends.
func (p *dispatcher) run(ctx context.Context) {
	look, cancel := context.WithCancel(ctx)
	cancel() // Next waits for nothing
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		due := p.due
		p.due = nil
		p.mu.Unlock()
		for _, o := range due {
			o.collect(look)
		}
	}
}

// inbox is what has arrived for a device and waits for its turn, at most
// maxWaiting messages. What is more waits in the session's queue, with the
// bound and the policy that the broker has for it. Its lock is a leaf.
type inbox struct {
	mu       sync.Mutex
	session  Session // nil: nobody listens
	messages []mqtt.Message
	lost     bool // the broker ended the session
}

// open has the inbox filled from a session; nil closes and empties it.
func (b *inbox) open(s Session) {
	b.mu.Lock()
	b.session, b.messages, b.lost = s, nil, false
	b.mu.Unlock()
}

// room returns the session, if there is one and room for what it has.
func (b *inbox) room() Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost || len(b.messages) >= maxWaiting {
		return nil
	}
	return b.session
}

// put adds what came from s, or err, its end.
func (b *inbox) put(s Session, m mqtt.Message, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.session != s: // closed meanwhile
	case err != nil:
		b.lost = true
	default:
		b.messages = append(b.messages, m)
	}
}

// found adds what came for a device without a session; false when it has one,
// or enough is there.
func (b *inbox) found(m mqtt.Message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ok := b.session == nil && len(b.messages) < maxWaiting
	if ok {
		b.messages = append(b.messages, m)
	}
	return ok
}

// take returns the oldest message, or that the session was lost; full says that
// there was no room for more until now.
func (b *inbox) take() (m mqtt.Message, ok, full, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) == 0 {
		lost, b.lost = b.lost, false
		return m, false, false, lost
	}
	full = len(b.messages) == maxWaiting
	m, b.messages = b.messages[0], b.messages[1:]
	if len(b.messages) == 0 {
		b.messages = nil
	}
	return m, true, full, false
}

func (b *inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.messages) == 0 && !b.lost
}

// collect empties the session into the inbox; heartbeats have arrived with
// that.
func (o *owner) collect(look context.Context) {
	for s := o.inbox.room(); s != nil; s = o.inbox.room() {
		m, err := s.Next(look)
		if errors.Is(err, context.Canceled) {
			break
		}
		if err == nil && !m.Retain && o.heartbeat(m.Topic) {
			continue
		}
		o.inbox.put(s, m, err)
	}
	if !o.inbox.empty() {
		o.nudge()
	}
}
