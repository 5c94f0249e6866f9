package conn

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// socket is what a loop keeps of a connection. Only marked and returned are
// touched by others.
type socket struct {
	fd     int32
	place  int32  // in the heap of deadlines, from 1; 0 for none
	events uint32 // that epoll watches; 0: it does not know the descriptor
	off    int32  // of out: written already

	acks    int16 // reads of nothing but PUBACK
	aside   bool  // it sends nothing but PUBACK; see aside
	fresh   bool  // not known to the loop yet
	busy    bool  // a packet is worked off apart: nothing is read or written
	paused  bool  // too many acknowledgements wait, or until: nothing is read
	last    bool  // out is the last that is sent
	deaf    bool  // the socket takes nothing any more; what it has is still read
	failed  bool  // panicked already
	waits   bool  // out counts as output
	hurries bool  // it closes while out waits
	lingers bool  // everything was sent, the end of input is waited for
	hung    bool  // the last event said that both directions have ended
	ending  bool  // the last event said that nothing will come after what is there

	in    []byte  // the start of a packet whose rest has not come
	out   *[]byte // what the socket did not take yet; nil for nothing
	due   int64
	until int64 // nothing is read before, for the client was too fast; 0: no wait
	// progress is when the socket last took a byte, or when its end began to
	// be waited for.
	progress int64
	result   error // of the packet that was worked off apart

	marked   atomic.Bool // it is in the loop's box
	returned atomic.Bool // result is there
}

// watch sets what epoll watches.
func (l *loop) watch(c *Conn, events uint32) {
	s := &c.sock
	op := syscall.EPOLL_CTL_MOD
	switch {
	case events == s.events:
		return
	case s.events == 0:
		op = syscall.EPOLL_CTL_ADD
	case events == 0:
		op = syscall.EPOLL_CTL_DEL
	}
	l.recall(c) // aside, only input is watched
	s.events = events
	if err := l.poller.watch(op, s.fd, events); err != nil {
		c.shut(err)
	}
}

// serve does what a mark may stand for.
func (l *loop) serve(c *Conn, now time.Time) {
	s := &c.sock
	if s.fd < 0 { // ended since
		return
	}
	if s.fresh {
		l.adopt(c, now)
	}
	if s.returned.Swap(false) {
		l.resume(c, now)
	}
	if s.aside {
		if _, closing := c.cause(); closing {
			l.recall(c)
			l.readable(c, now) // what it acknowledged is not sent again
		}
	}
	l.write(c, now)
}

// adopt begins to read a new connection.
func (l *loop) adopt(c *Conn, now time.Time) {
	s := &c.sock
	s.fresh = false
	for len(l.conns) <= int(s.fd) {
		l.conns = append(l.conns, nil)
	}
	l.conns[s.fd] = c
	c.last, c.silence = now, connectTimeout
	l.watch(c, syscall.EPOLLIN)
	l.schedule(c)
}

// apart implements driver: the short life of this goroutine ends with a mark,
// and c does not end before.
func (l *loop) apart(c *Conn, f func() error) {
	c.sock.busy, c.patient = true, true
	c.scratch = scratches.Get().(*scratch)
	l.schedule(c)
	go func() {
		defer l.mark(c)
		defer c.sock.returned.Store(true)
		defer func() {
			if p := recover(); p != nil {
				c.scratch = newScratch()
				c.sock.result = c.panicked(p)
			}
		}()
		c.sock.result = f()
		c.received.take(&c.in)
		c.settle()
	}()
}

var scratches = sync.Pool{New: func() any { return newScratch() }}

// resume goes on after a packet that was worked off apart.
func (l *loop) resume(c *Conn, now time.Time) {
	s := &c.sock
	scratches.Put(c.scratch)
	c.scratch = &l.scratch
	s.busy, c.patient = false, false
	err := s.result
	s.result = nil
	if err != nil {
		c.shut(err)
		return
	}
	if in := s.in; len(in) > 0 {
		s.in = nil
		l.feed(c, now, in)
	}
	if !s.busy {
		l.listen(c)
	}
}

// listen reads again, unless there is a reason not to.
func (l *loop) listen(c *Conn) {
	s := &c.sock
	if !s.busy && !s.paused {
		l.watch(c, s.events|syscall.EPOLLIN)
		l.schedule(c)
	}
}

// end ends the connection after its last write.
func (l *loop) end(c *Conn, err error) {
	s := &c.sock
	cause := c.finished(err)
	if s.out != nil {
		s.sent(c)
	}
	s.drop(c)
	c.report(cause)
	if c.peer != nil {
		c.cfg.Server.Disconnect(c, c.end)
	}
	c.leave()
	var e *mqtt.Error
	if err != nil || !errors.As(cause, &e) || syscall.Shutdown(int(s.fd), syscall.SHUT_WR) != nil {
		l.release(c)
		return
	}
	// Closing a socket with unread input resets it, and the client may lose
	// what was sent just before.
	s.lingers, s.off = true, 0
	c.unask()
	l.watch(c, 0)
	l.watch(c, syscall.EPOLLIN) // anew: what was not read is reported
	l.deadlines.set(c, l.since(time.Now())+int64(closeTimeout))
}

// release closes the socket and forgets the connection.
func (l *loop) release(c *Conn) {
	s := &c.sock
	if s.fd < 0 {
		return
	}
	l.deadlines.set(c, 0)
	if s.aside {
		s.aside = false
		l.aside.members--
	}
	l.conns[s.fd] = nil
	closeSocket(s.fd) // which takes it out of epoll
	s.fd = -1
	l.ended(c)
}

// finished ends the writing for good and returns why.
func (c *Conn) finished(err error) error {
	w := &c.w
	w.Lock()
	defer w.Unlock()
	w.closing, w.finished = true, true
	if w.cause == nil {
		w.cause = err
	}
	return w.cause
}
