package bridge

import (
	"hash/maphash"
	"sync"
	"time"
)

// storm finds a loop that nothing else ends, over servers that know neither No
// Local nor User Properties: what went up comes down again, over and over. It
// stops the one route down that feeds it, for a while.
type storm struct {
	seed maphash.Seed

	mu      sync.Mutex
	sent    [stormMemory]uint64 // hashes of what went up last
	next    int
	echoes  []echoes // by route down
	stopped uint64   // times a route was stopped
}

// echoes are those of one route.
type echoes struct {
	since time.Time
	count int
	until time.Time // stopped
}

const (
	stormMemory = 256              // messages; a loop repeats what was sent last
	stormLimit  = 100              // echoes
	stormWithin = 10 * time.Second // within this time
	stormStop   = time.Minute
)

func newStorm(routes int) *storm {
	return &storm{seed: maphash.MakeSeed(), echoes: make([]echoes, routes)}
}

func (s *storm) hash(topic string, payload []byte) uint64 {
	return maphash.String(s.seed, topic) ^ maphash.Bytes(s.seed, payload)
}

// up remembers a message that goes up.
func (s *storm) up(topic string, payload []byte) {
	if len(s.echoes) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent[s.next] = s.hash(topic, payload)
	s.next = (s.next + 1) % stormMemory
}

// down reports whether a message that came down by a route must not pass;
// stops is true for the first.
func (s *storm) down(now time.Time, route int, topic string, payload []byte) (refuse, stops bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &s.echoes[route]
	if now.Before(e.until) {
		return true, false
	}
	h, echo := s.hash(topic, payload), false
	for _, sent := range s.sent {
		echo = echo || sent == h
	}
	if !echo {
		return false, false
	}
	if now.Sub(e.since) > stormWithin {
		e.since, e.count = now, 0
	}
	if e.count++; e.count < stormLimit {
		return false, false
	}
	*e = echoes{until: now.Add(stormStop)}
	s.stopped++
	return true, true
}

// stops is how many times a route was stopped.
func (s *storm) stops() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}
