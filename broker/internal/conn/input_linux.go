package conn

import (
	"io"
	"os"
	"syscall"
	"time"
)

const lingerMax = 1 << 20 // bytes of input thrown away at the end

// unread is called when a read took all it had room for, or the end of input is
// behind what it took: epoll is to report again what is left.
func (l *loop) unread(c *Conn) {
	s := &c.sock
	l.more = true
	if s.fd >= 0 && s.events&syscall.EPOLLIN != 0 {
		epoll := l.poller.fd
		if s.aside {
			epoll = l.aside.epoll
		}
		if err := watch(epoll, syscall.EPOLL_CTL_MOD, s.fd, s.events); err != nil {
			c.shut(err)
		}
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
		if s.fd >= 0 && !s.busy {
			l.sort(c)
		}
		if kept+n == len(buf) || s.ending {
			// The end of a DISCONNECT comes in this round: nobody reads on.
			if _, closing := c.cause(); !closing || s.out != nil {
				l.unread(c)
			}
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
	if c.mayCrowd {
		c.mayCrowd = c.crowded()
		s.paused = s.paused || c.mayCrowd
	}
}

// drop lets go of the start of a packet.
func (s *socket) drop(c *Conn) {
	s.in = nil
	c.holdInput(0, smallInput)
}

// rested goes on with a client that was too fast, or whose acknowledgements have
// left.
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
	return c.mustWait()
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
	case n == len(l.buf) || s.ending:
		l.unread(c)
	}
}
