package conn

import (
	"os"
	"syscall"
	"time"
)

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
		l.need(c)
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
			if s.paused = c.ahead; s.paused {
				s.until, l.more = l.since(now), true // what was read already is worked off in the next round
				l.schedule(c)
			} else {
				l.listen(c)
			}
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
	if s.out != nil && !s.hurries { // else await says when
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
	if c.ahead { // what was read already waits for nothing any more
		c.maxIn, s.paused, s.until, l.more = 0, true, l.since(time.Now()), true
	}
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
