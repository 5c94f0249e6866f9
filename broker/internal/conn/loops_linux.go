package conn

import (
	"runtime"
	"sync"
)

// Loops drive TCP and Unix sockets with a few goroutines for all of them. They
// start with the first socket.
type Loops struct {
	ended func(*Conn)

	started struct {
		sync.Mutex
		loops  []*loop
		next   int
		failed bool // the system gives no epoll: connections get goroutines
	}
}

// NewLoops prepares loops. ended is called by a loop after the end of each
// connection that it took; it must not wait.
func NewLoops(ended func(*Conn)) *Loops { return &Loops{ended: ended} }

// Take drives c, which New has made, until it ends. It reports false, and has
// done nothing, if c's socket is not one for a loop: Serve has to be called.
func (l *Loops) Take(c *Conn) bool {
	if !isSocket(c.nc) {
		return false
	}
	lp := l.pick()
	if lp == nil {
		return false
	}
	fd, ok := takeSocket(c.nc)
	if !ok {
		return false
	}
	c.nc = nil
	c.sock.fd, c.sock.fresh = fd, true
	c.scratch, c.loop = &lp.scratch, lp
	lp.mark(c)
	return true
}

// pick takes the loops in turn.
func (l *Loops) pick() *loop {
	s := &l.started
	s.Lock()
	defer s.Unlock()
	if s.failed {
		return nil
	}
	for s.loops == nil || len(s.loops) < count() && s.next >= len(s.loops) {
		lp, err := newLoop(l.ended)
		if err != nil {
			s.failed = len(s.loops) == 0
			break
		}
		go lp.run() // Close waits
		s.loops = append(s.loops, lp)
	}
	if s.failed {
		return nil
	}
	lp := s.loops[s.next%len(s.loops)]
	s.next++
	return lp
}

// count is how many loops there are at most: a loop is rarely the bottleneck,
// and two on two cores fight over locks and caches.
func count() int { return max(1, min(runtime.GOMAXPROCS(0)/2, 8)) }

// Close ends the loops and waits. No connection may be left.
func (l *Loops) Close() {
	l.started.Lock()
	defer l.started.Unlock()
	l.started.failed = true
	for _, lp := range l.started.loops {
		lp.close()
	}
}
