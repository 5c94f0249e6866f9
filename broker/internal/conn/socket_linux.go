package conn

import (
	"errors"
	"io"
	"os"
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
	due    int64
	until  int64 // nothing is read before, for the client was too fast; 0: no wait
	// progress is when the socket last took a byte, or when its end began to
	// be waited for.
	progress int64
	in       []byte  // the start of a packet whose rest has not come
	out      *[]byte // what the socket did not take yet; nil for nothing
	result   error   // of the packet that was worked off apart

	fresh   bool // not known to the loop yet
	busy    bool // a packet is worked off apart: nothing is read or written
	paused  bool // too many acknowledgements wait, or until: nothing is read
	last    bool // out is the last that is sent
	deaf    bool // the socket takes nothing any more; what it has is still read
	failed  bool // panicked already
	waits   bool // out counts as output
	hurries bool // it closes while out waits
	lingers bool // everything was sent, the end of input is waited for
	hung    bool // the last event said that nothing will come any more

	marked   atomic.Bool // it is in the loop's box
	returned atomic.Bool // result is there
}

const lingerMax = 1 << 20 // bytes of input thrown away at the end

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
	s.events = events
	if err := l.poller.watch(op, s.fd, events); err != nil {
		c.shut(err)
	}
}

// unread is called when a read took all it had room for: epoll is to report
// again what is left.
func (l *loop) unread(c *Conn) {
	s := &c.sock
	l.more = true
	if s.fd >= 0 && s.events&syscall.EPOLLIN != 0 {
		if err := l.poller.watch(syscall.EPOLL_CTL_MOD, s.fd, s.events); err != nil {
			c.shut(err)
		}
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

// readable reads once; what is left comes in the next round.
func (l *loop) readable(c *Conn, now time.Time) {
	s := &c.sock
	switch {
	case s.lingers:
		l.discard(c)
		return
	case (s.busy || s.paused) && s.hung:
		l.watch(c, 0) // epoll reports a hang-up whatever it watches
		return
	case s.busy || s.paused:
		l.watch(c, s.events&^syscall.EPOLLIN)
		return
	}
	buf, kept := l.buf, len(s.in)
	if kept > readSize/2 { // a large packet is read into memory of its own
		if more := min(kept, 1<<20); kept == cap(s.in) {
			if !c.holdInput(kept+more, smallInput) {
				c.shut(errInput)
				return
			}
			s.in = append(s.in, make([]byte, more)...)[:kept]
		}
		buf = s.in[:cap(s.in)]
	} else {
		copy(buf, s.in)
	}
	n, errno := readSocket(s.fd, buf[kept:])
	switch {
	case errno != 0 && again(errno):
	case errno != 0:
		l.inputEnds(c, os.NewSyscallError("read", errno))
	case n == 0:
		l.inputEnds(c, io.EOF)
	default:
		c.in.Bytes += uint64(n)
		l.feed(c, now, buf[:kept+n])
		if kept+n == len(buf) {
			l.unread(c)
		}
	}
}

// inputEnds closes c when what it has to say was said.
func (l *loop) inputEnds(c *Conn, err error) {
	c.silence = 0
	l.watch(c, c.sock.events&^syscall.EPOLLIN)
	c.shut(err)
}

// feed works off what was read and keeps the start of a packet that is not
// whole.
func (l *loop) feed(c *Conn, now time.Time, b []byte) {
	s, known := &c.sock, c.peer != nil
	used, err := c.feed(now, b)
	rest := b[used:]
	switch {
	case err != nil:
		s.drop(c)
		c.shut(err)
		return
	case len(rest) == 0:
		s.drop(c)
	case !c.holdInput(max(len(rest), cap(s.in)), smallInput):
		s.drop(c)
		c.shut(errInput)
		return
	default:
		s.in = append(s.in[:0], rest...)
	}
	if s.busy { // c is the other goroutine's until it returns
		return
	}
	if !known && c.peer != nil {
		l.schedule(c)
	}
	if wait := c.rest(now); wait > 0 {
		s.paused, s.until = true, l.since(now)+int64(wait)
		l.watch(c, s.events&^syscall.EPOLLIN)
		l.schedule(c)
	}
	if c.crowded() {
		s.paused = true
	}
}

// drop lets go of the start of a packet.
func (s *socket) drop(c *Conn) {
	s.in = nil
	c.holdInput(0, smallInput)
}

// rested goes on with a client that was too fast.
func (l *loop) rested(c *Conn, now time.Time) {
	s := &c.sock
	s.until, s.paused = 0, false
	c.last = now // nobody is silent who is not listened to
	if in := s.in; len(in) > 0 {
		s.in = nil
		l.feed(c, now, in)
	}
	l.listen(c)
	l.mark(c)
}

// crowded reports whether the connection is not to be read for now.
func (c *Conn) crowded() bool {
	c.w.Lock()
	defer c.w.Unlock()
	return c.w.crowded()
}

// write sends what there is. What the socket does not take waits for writable.
func (l *loop) write(c *Conn, now time.Time) {
	s := &c.sock
	if s.out != nil && !s.hurries {
		l.hurry(c, now)
	}
	if s.busy || s.out != nil || s.lingers || s.fd < 0 {
		return
	}
	if s.deaf {
		if cause, closing := c.cause(); closing {
			l.end(c, cause)
		}
		return
	}
	for range 4 {
		l.out = l.out[:0]
		closing, err := c.fill(&l.out, now)
		if err != nil {
			c.shut(err)
			continue
		}
		size := len(l.out)
		s.last = closing
		if size > 0 && !l.send(c, now) {
			return
		}
		if closing {
			l.end(c, nil)
			return
		}
		if s.paused && s.until == 0 && !c.crowded() {
			s.paused = false
			l.listen(c)
		}
		if size < flushSize {
			return
		}
	}
	l.mark(c) // others come first
}

// hurry gives a connection that closes little time for what its socket did not
// take yet: a take-over waits for it.
func (l *loop) hurry(c *Conn, now time.Time) {
	if _, closing := c.cause(); closing {
		c.sock.hurries, c.sock.progress = true, l.since(now)
		l.schedule(c)
	}
}

// send writes l.out and reports whether all of it went. The rest waits in
// memory of the connection's own.
func (l *loop) send(c *Conn, now time.Time) bool {
	n, ok := l.give(c, now, l.out)
	if ok && n < len(l.out) {
		rest := buffers.Get().(*[]byte)
		*rest, l.out = l.out, *rest
		c.sock.out, c.sock.off = rest, int32(n)
		l.await(c, now)
		return false
	}
	if cap(l.out) > 2*flushSize { // a large packet has grown it
		l.out = nil
	}
	return ok
}

// push writes what is left of out and reports whether all of it went.
func (l *loop) push(c *Conn, now time.Time) bool {
	s := &c.sock
	n, ok := l.give(c, now, (*s.out)[s.off:])
	if !ok {
		return false
	}
	if s.off += int32(n); int(s.off) < len(*s.out) {
		l.await(c, now)
		return false
	}
	s.sent(c)
	return true
}

// give writes what the socket takes of b. ok is false if it takes nothing any
// more.
func (l *loop) give(c *Conn, now time.Time, b []byte) (n int, ok bool) {
	s := &c.sock
	n, errno := writeSocket(s.fd, b)
	if errno != 0 {
		if again(errno) {
			return 0, true
		}
		if s.out != nil {
			s.sent(c)
		}
		l.refused(c, os.NewSyscallError("write", errno))
		return 0, false
	}
	if !s.hurries {
		s.progress = l.since(now)
	}
	c.out.Bytes += uint64(n)
	c.sent.take(&c.out)
	return n, true
}

// await waits until the socket takes more.
func (l *loop) await(c *Conn, now time.Time) {
	s := &c.sock
	if s.events&syscall.EPOLLOUT == 0 {
		c.holdOutput(cap(*s.out))
		s.waits = true
		s.progress = l.since(now)
		l.watch(c, s.events|syscall.EPOLLOUT)
		l.schedule(c)
	}
}

// refused goes on after a write that failed. What the client sent before it
// left, a DISCONNECT for one, is still there to be read.
func (l *loop) refused(c *Conn, err error) {
	s := &c.sock
	if _, closing := c.cause(); s.last || closing {
		l.end(c, err)
		return
	}
	s.deaf, s.paused, s.until = true, false, 0
	l.watch(c, syscall.EPOLLIN)
	l.schedule(c)
}

// sent lets go of what was to be written.
func (s *socket) sent(c *Conn) {
	if s.waits {
		c.holdOutput(-cap(*s.out))
		s.waits = false
	}
	recycle(s.out)
	s.out = nil
}

// writable goes on with what the socket did not take.
func (l *loop) writable(c *Conn, now time.Time) {
	s := &c.sock
	if s.out == nil {
		l.watch(c, s.events&^syscall.EPOLLOUT)
		return
	}
	if !l.push(c, now) {
		return
	}
	l.watch(c, s.events&^syscall.EPOLLOUT)
	if s.last {
		l.end(c, nil)
		return
	}
	l.write(c, now)
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
	l.watch(c, 0)
	l.watch(c, syscall.EPOLLIN) // anew: what was not read is reported
	l.deadlines.set(c, l.since(time.Now())+int64(closeTimeout))
}

// discard throws input away until it ends.
func (l *loop) discard(c *Conn) {
	s := &c.sock
	n, errno := readSocket(s.fd, l.buf)
	s.off += int32(max(n, 0))
	switch {
	case errno != 0 && again(errno):
	case errno != 0 || n == 0 || s.off > lingerMax:
		l.release(c)
	case n == len(l.buf):
		l.unread(c)
	}
}

// release closes the socket and forgets the connection.
func (l *loop) release(c *Conn) {
	s := &c.sock
	if s.fd < 0 {
		return
	}
	l.deadlines.set(c, 0)
	l.conns[s.fd] = nil
	syscall.Close(int(s.fd)) // which takes it out of epoll
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
