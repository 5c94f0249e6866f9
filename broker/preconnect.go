package broker

import (
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

const (
	// maxPreConnect is how many connections may be open without an accepted
	// CONNECT before the oldest of them is closed for a new one.
	maxPreConnect = 64
	// minBegun to maxBegun, as memory has room for, bound those whose TLS
	// handshake or WebSocket upgrade has begun. It takes a small client seconds
	// and is most of what a connection costs us: closing it for a new one would
	// let nobody in when all devices come back at once.
	minBegun, maxBegun = 16, 256
	// preConnectGrace is how long each is left alone, so that a burst of clients
	// that do send CONNECT is let in.
	preConnectGrace = 500 * time.Millisecond
	// handshakeGrace is the same where a handshake comes first: a small client
	// takes its time to make the keys for its first bytes.
	handshakeGrace = time.Second
	// preConnectInAll is how many may be open whatever grace they have left.
	preConnectInAll = 1024
)

// preConnect are the connections without an accepted CONNECT, the oldest first;
// some that have one by now may still be among them. The lock of serving guards
// them.
type preConnect struct {
	list  []pending
	begun int         // how many may have begun a handshake
	timer *time.Timer // judges again when grace has passed; nil for none
	wait  sync.WaitGroup
}

type pending struct {
	conn  *conn.Conn
	until time.Time // it is left alone until then
	begun bool      // it had begun a handshake when it was last judged
}

// handshakesFor is how many handshakes may go on with this budget of memory, in
// bytes: what they take is an eighth of it.
func handshakesFor(budget int64) int {
	if budget == 0 {
		return maxBegun
	}
	return int(max(minBegun, min(budget/8/conn.LayeredSize, maxBegun)))
}

// limitPreConnect adds a new connection, and closes the oldest if there are too
// many now. The caller holds the lock of serving.
func (b *Broker) limitPreConnect(c *conn.Conn, now time.Time) {
	s := &b.serving.preConnect
	grace := preConnectGrace
	if c.HasHandshake() {
		grace = handshakeGrace
	}
	s.list = append(s.list, pending{conn: c, until: now.Add(grace)})
	if len(s.list) > maxPreConnect && !s.judge(now) && s.timer == nil {
		b.judgeLater()
	}
}

// judgeLater judges again, until there are not too many. The caller holds the
// lock of serving.
func (b *Broker) judgeLater() {
	s := &b.serving.preConnect
	s.wait.Add(1)
	s.timer = time.AfterFunc(preConnectGrace, func() {
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
func (s *preConnect) judge(now time.Time) bool {
	left := s.list[:0]
	silent, begun := -maxPreConnect, -s.begun // how many are too many
	for _, x := range s.list {
		if !x.conn.PreConnect() {
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
		if *excess > 0 && (!now.Before(x.until) || all > preConnectInAll) {
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
func (s *preConnect) stop(serving *sync.Mutex) {
	serving.Lock()
	if s.timer != nil && s.timer.Stop() {
		s.wait.Done()
	}
	serving.Unlock()
	s.wait.Wait()
}
