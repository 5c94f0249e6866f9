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
	// strangerGrace is what each of them has in any case, so that a burst of
	// clients that do send CONNECT is let in.
	strangerGrace = 100 * time.Millisecond
	// strangersInAll is where even that ends.
	strangersInAll = 1024
)

// strangers are the connections that no CONNECT was accepted on, the oldest
// first; some that are none any more may be among them. The lock of serving
// guards them.
type strangers struct {
	list  []stranger
	timer *time.Timer // judges again when grace has passed; nil for none
	wait  sync.WaitGroup
}

type stranger struct {
	conn *conn.Conn
	came time.Time
}

// meet takes a new connection, and ends those it is too many for. The caller
// holds the lock of serving.
func (b *Broker) meet(c *conn.Conn, now time.Time) {
	s := &b.serving.strangers
	s.list = append(s.list, stranger{c, now})
	if len(s.list) > maxStrangers && !s.judge(now) && s.timer == nil {
		s.wait.Add(1)
		s.timer = time.AfterFunc(strangerGrace, func() {
			defer s.wait.Done()
			b.serving.Lock()
			defer b.serving.Unlock()
			s.timer = nil
			if now := time.Now(); !b.serving.closed && !s.judge(now) {
				s.judge(now.Add(strangerGrace)) // they came behind the first, and had nearly as long
			}
		})
	}
}

// judge ends the oldest beyond the limit. It reports false if there are more
// that have some time left.
func (s *strangers) judge(now time.Time) bool {
	left := s.list[:0]
	for _, x := range s.list {
		if x.conn.Stranger() {
			left = append(left, x)
		}
	}
	ended := 0
	for ; len(left)-ended > maxStrangers; ended++ {
		if now.Sub(left[ended].came) < strangerGrace && len(left)-ended <= strangersInAll {
			break
		}
		left[ended].conn.Kick(mqtt.ServerBusy)
	}
	n := copy(left, left[ended:])
	clear(s.list[n:])
	s.list = s.list[:n]
	return n <= maxStrangers
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
