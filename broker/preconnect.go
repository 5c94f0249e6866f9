package broker

import (
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

const (
	// maxStrangers is how many connections may be open without an accepted
	// CONNECT before the oldest of them is closed for a new one.
	maxStrangers = 64
	// minBegun to maxBegun, as memory has room for, is the same for those whose
	// TLS handshake or WebSocket upgrade has begun: it takes a small client
	// seconds and costs us most of what it ever will, so that ending it for a
	// new one would let nobody in after a power cut.
	minBegun, maxBegun = 16, 256
	// strangerGrace is what each of them has in any case, so that a burst of
	// clients that do send CONNECT is let in.
	strangerGrace = 500 * time.Millisecond
	// shakingGrace is the same where a handshake comes first: a small client
	// takes its time to make the keys for its first bytes.
	shakingGrace = time.Second
	// strangersInAll is where even that ends.
	strangersInAll = 1024
)

// strangers are the connections that no CONNECT was accepted on, the oldest
// first; some that are none any more may be among them. The lock of serving
// guards them.
type strangers struct {
	list  []stranger
	begun int         // how many may have begun a handshake
	timer *time.Timer // judges again when grace has passed; nil for none
	wait  sync.WaitGroup
}

type stranger struct {
	conn  *conn.Conn
	until time.Time // it is left alone
	begun bool      // when it was judged
}

// begunFor is how many handshakes may go on with this budget of memory, in
// bytes: what they take is an eighth of it.
func begunFor(budget int64) int {
	if budget == 0 {
		return maxBegun
	}
	return int(max(minBegun, min(budget/8/conn.LayeredSize, maxBegun)))
}

// meet takes a new connection, and ends those it is too many for. The caller
// holds the lock of serving.
func (b *Broker) meet(c *conn.Conn, now time.Time) {
	s := &b.serving.strangers
	grace := strangerGrace
	if c.Shakes() {
		grace = shakingGrace
	}
	s.list = append(s.list, stranger{conn: c, until: now.Add(grace)})
	if len(s.list) > maxStrangers && !s.judge(now) && s.timer == nil {
		b.judgeLater()
	}
}

// judgeLater judges again, until there are not too many. The caller holds the
// lock of serving.
func (b *Broker) judgeLater() {
	s := &b.serving.strangers
	s.wait.Add(1)
	s.timer = time.AfterFunc(strangerGrace, func() {
		defer s.wait.Done()
		b.serving.Lock()
		defer b.serving.Unlock()
		s.timer = nil
		if !b.serving.closed && !s.judge(time.Now()) {
			b.judgeLater()
		}
	})
}

// judge ends the oldest beyond the limits. It reports false if there are more
// that have some time left.
func (s *strangers) judge(now time.Time) bool {
	left := s.list[:0]
	silent, begun := -maxStrangers, -s.begun // how many are too many
	for _, x := range s.list {
		if !x.conn.Stranger() {
			continue
		}
		if x.begun = x.conn.Begun(); x.begun {
			begun++
		} else {
			silent++
		}
		left = append(left, x)
	}
	kept, all := left[:0], len(left)
	for _, x := range left {
		excess := &silent
		if x.begun {
			excess = &begun
		}
		if *excess > 0 && (!now.Before(x.until) || all > strangersInAll) {
			x.conn.Kick(mqtt.ServerBusy)
			*excess--
			all--
			continue
		}
		kept = append(kept, x)
	}
	clear(s.list[len(kept):])
	s.list = kept
	return silent <= 0 && begun <= 0
}

// stop ends the timer and waits for it.
func (s *strangers) stop(serving *sync.Mutex) {
	serving.Lock()
	if s.timer != nil && s.timer.Stop() {
		s.wait.Done()
	}
	serving.Unlock()
	s.wait.Wait()
}
