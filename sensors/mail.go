package sensors

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// postman carries what arrives for devices from their sessions to them. One
// goroutine does so for all: a device that nobody commands costs no stack, and a
// heartbeat is felt at once, whatever its device is busy with.
type postman struct {
	rung chan struct{}

	mu  sync.Mutex
	due []*owner // each once
}

func newPostman() *postman { return &postman{rung: make(chan struct{}, 1)} }

// ring has the postman look after a device; it returns at once.
func (p *postman) ring(o *owner) {
	p.mu.Lock()
	if !slices.Contains(p.due, o) {
		p.due = append(p.due, o)
	}
	p.mu.Unlock()
	select {
	case p.rung <- struct{}{}:
	default:
	}
}

// run carries until ctx ends.
func (p *postman) run(ctx context.Context) {
	look, cancel := context.WithCancel(ctx)
	cancel() // Next waits for nothing
	for {
		select {
		case <-p.rung:
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

// mailbox is what has arrived for a device and waits for its turn, at most
// maxWaiting messages. What is more waits in the session's queue, with the
// bound and the policy that the broker has for it. Its lock is a leaf.
type mailbox struct {
	mu      sync.Mutex
	session Session // nil: nobody listens
	letters []mqtt.Message
	lost    bool // the broker ended the session
}

// open has the box filled from a session; nil closes and empties it.
func (b *mailbox) open(s Session) {
	b.mu.Lock()
	b.session, b.letters, b.lost = s, nil, false
	b.mu.Unlock()
}

// room returns the session, if there is one and room for what it has.
func (b *mailbox) room() Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost || len(b.letters) >= maxWaiting {
		return nil
	}
	return b.session
}

// put adds what came from s, or err, its end.
func (b *mailbox) put(s Session, m mqtt.Message, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.session != s: // closed meanwhile
	case err != nil:
		b.lost = true
	default:
		b.letters = append(b.letters, m)
	}
}

// found adds what came for a device without a session; false when it has one,
// or enough is there.
func (b *mailbox) found(m mqtt.Message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ok := b.session == nil && len(b.letters) < maxWaiting
	if ok {
		b.letters = append(b.letters, m)
	}
	return ok
}

// take returns the oldest message, or that the session was lost; full says that
// there was no room for more until now.
func (b *mailbox) take() (m mqtt.Message, ok, full, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.letters) == 0 {
		lost, b.lost = b.lost, false
		return m, false, false, lost
	}
	full = len(b.letters) == maxWaiting
	m, b.letters = b.letters[0], b.letters[1:]
	if len(b.letters) == 0 {
		b.letters = nil
	}
	return m, true, full, false
}

func (b *mailbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.letters) == 0 && !b.lost
}

// collect empties the session into the mailbox; heartbeats have arrived with
// that.
func (o *owner) collect(look context.Context) {
	for s := o.mail.room(); s != nil; s = o.mail.room() {
		m, err := s.Next(look)
		if errors.Is(err, context.Canceled) {
			break
		}
		if err == nil && !m.Retain && o.heartbeat(m.Topic) {
			continue
		}
		o.mail.put(s, m, err)
	}
	if !o.mail.empty() {
		o.nudge()
	}
}
