package conn

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// loop is one goroutine that reads and writes the sockets of many connections.
// Whatever happens in one round is written at its end: one write for each
// connection that has something to send.
type loop struct {
	*poller
	aside *aside
	ended func(*Conn)
	epoch time.Time // deadlines are nanoseconds since then

	// The loop's own.
	conns     []*Conn // by file descriptor
	deadlines deadlines
	armed     int64 // the deadline that poller.file has; 0 for none
	more      bool  // not all was read that is there
	pulse     pulse
	buf       []byte // what is read is worked off here
	out       []byte // what is written
	scratch   scratch
	spare     []*Conn

	sleeping atomic.Bool // a mark must wake it
	stop     atomic.Bool
	done     chan struct{}

	box struct {
		sync.Mutex
		marked []*Conn
		some   atomic.Bool // marked is not empty; to be looked at without the lock
	}
}

const (
	readSize = 64 << 10 // bytes read at once
	// turnsMax is after what time other goroutines are let in.
	turnsMax = time.Millisecond
)

func newLoop(ended func(*Conn)) (*loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	a, err := newAside(p)
	if err != nil {
		p.close()
		return nil, err
	}
	l := &loop{poller: p, aside: a, pulse: pulse{gap: gapMax}, ended: ended, epoch: time.Now(), buf: make([]byte, readSize), done: make(chan struct{})}
	l.scratch.pending = new(pending)
	return l, nil
}

// close ends run and waits for it.
func (l *loop) close() {
	l.stop.Store(true)
	l.wake()
	<-l.done
	l.free()
}

func (l *loop) free() {
	l.aside.close()
	l.poller.close()
}

func (l *loop) run() {
	defer close(l.done)
	for !l.stop.Load() {
		if l.raw.Read(l.turns) != nil { // the deadline has passed
			l.armed = 0
			l.file.SetReadDeadline(time.Time{}) // it was set before
		}
	}
}

// turns works until nothing is left to do. It reports false to be called again
// when epoll has something: the runtime keeps what comes meanwhile, as long as
// raw.Read does not return, so that there is no need to poll once more before
// the goroutine parks.
func (l *loop) turns(uintptr) bool {
	var began time.Time
	for !l.stop.Load() {
		l.sleeping.Store(false)
		n := l.poll()
		now := time.Now()
		if began.IsZero() {
			began = now
		}
		l.more = n == len(l.events)
		l.round(now, n)
		l.arm()
		if l.more {
			continue
		}
		if n > 0 && l.pulse.rapid() && now.Sub(began) < turnsMax {
			l.pulse.rest()
			continue
		}
		l.sleeping.Store(true)
		// What was marked before sleeping was set woke nobody.
		if !l.box.some.Load() && !l.stop.Load() {
			return false
		}
	}
	return true
}

// round works off n events, then what is due, then writes. Those set aside come
// behind all others.
func (l *loop) round(now time.Time, n int) {
	a := l.aside
	others, acks := n, a.full
	l.scratch.packets = 0
	for i := range n {
		switch ev := &l.events[i]; int(ev.Fd) {
		case a.epoll:
			others--
			acks = true
		case a.timer:
			others--
			a.mute(0, false)
		default:
			l.event(now, ev)
		}
	}
	l.overdue(now)
	l.flush(now)
	at := l.since(now)
	if others > 0 {
		l.pulse.beat(at, l.scratch.packets)
	}
	if acks || others > 0 && a.muted && at-a.seen >= int64(lookEach) {
		for i := range a.look(at) {
			l.event(now, &a.events[i])
		}
		l.more = l.more || a.full
		l.flush(now)
	}
	if others > 0 {
		a.mute(at, a.members > 0 && l.pulse.brisk())
	}
}

// mark implements driver.
func (l *loop) mark(c *Conn) {
	if c.sock.marked.Load() || c.sock.marked.Swap(true) {
		return
	}
	l.box.Lock()
	l.box.marked = append(l.box.marked, c)
	l.box.some.Store(true)
	l.box.Unlock()
	if l.sleeping.Load() && l.sleeping.CompareAndSwap(true, false) {
		l.wake()
	}
}

// flush serves the marked connections.
func (l *loop) flush(now time.Time) {
	l.box.Lock()
	marked := l.box.marked
	l.box.marked = l.spare[:0]
	l.box.some.Store(false)
	l.box.Unlock()
	for i, c := range marked {
		marked[i] = nil
		c.sock.marked.Store(false) // before it is looked at: a mark from now on counts
		l.guard(c, now, (*loop).serve)
	}
	l.spare = marked[:0]
	if cap(l.spare) > 1024 {
		l.spare = nil
	}
}

// event works off what epoll reports. It is only a hint: a descriptor may have
// been closed and given to another connection in the same round.
func (l *loop) event(now time.Time, ev *syscall.EpollEvent) {
	if int(ev.Fd) >= len(l.conns) || l.conns[ev.Fd] == nil {
		return
	}
	c := l.conns[ev.Fd]
	if ev.Events&syscall.EPOLLOUT != 0 {
		l.guard(c, now, (*loop).writable)
	}
	if ev.Events&^syscall.EPOLLOUT != 0 && l.conns[ev.Fd] == c {
		c.sock.hung = ev.Events&(syscall.EPOLLHUP|syscall.EPOLLERR) != 0
		c.sock.ending = ev.Events&ends != 0
		l.guard(c, now, (*loop).readable)
	}
}

// guard calls f for c. A panic ends this connection only.
func (l *loop) guard(c *Conn, now time.Time, f func(*loop, *Conn, time.Time)) {
	defer func() {
		if p := recover(); p != nil {
			l.scratch = scratch{pending: new(pending)}
			l.fail(c, c.panicked(p))
		}
	}()
	f(l, c, now)
}

// fail ends c after a panic; if that panics too, its socket is closed at least.
func (l *loop) fail(c *Conn, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p)
			l.release(c)
		}
	}()
	if c.sock.failed {
		l.end(c, err)
		return
	}
	c.sock.failed = true
	c.shut(err)
}

func (l *loop) since(t time.Time) int64 { return int64(t.Sub(l.epoch)) }

// arm lets the poller return at the next deadline. A deadline that has moved
// away is left to pass: that is cheaper than a timer for each packet.
func (l *loop) arm() {
	if next := l.deadlines.next(); next > 0 && (l.armed == 0 || next < l.armed) {
		if l.file.SetReadDeadline(l.epoch.Add(time.Duration(next))) == nil {
			l.armed = next
		}
	}
}

// overdue works off the deadlines that have passed.
func (l *loop) overdue(now time.Time) {
	next := l.deadlines.next()
	if next == 0 {
		return
	}
	for at := l.since(now); next > 0 && next <= at; next = l.deadlines.next() {
		c := l.deadlines.heap[0]
		l.deadlines.set(c, 0)
		l.guard(c, now, (*loop).expire)
	}
}

// expire looks which deadline of c has passed, if it did not move meanwhile.
func (l *loop) expire(c *Conn, now time.Time) {
	s, at := &c.sock, l.since(now)
	switch {
	case s.lingers:
		l.release(c)
		return
	case s.out != nil && at >= l.writeDue(c):
		c.cfg.Counters.SlowConsumers.Add(1)
		l.end(c, os.ErrDeadlineExceeded)
		return
	case s.until != 0 && at >= s.until:
		l.rested(c, now)
	case at >= l.readDue(c):
		c.silence = 0 // once
		c.shut(c.silent())
	}
	l.schedule(c)
}

// schedule sets the next deadline of c.
func (l *loop) schedule(c *Conn) {
	due := l.readDue(c)
	if c.sock.out != nil {
		due = min(due, l.writeDue(c))
	}
	if c.sock.until != 0 {
		due = min(due, c.sock.until)
	}
	if due == never {
		due = 0
	}
	l.deadlines.set(c, due)
}

const never = 1<<63 - 1

// readDue is when the client has been silent for too long. Nobody is silent
// who is not listened to.
func (l *loop) readDue(c *Conn) int64 {
	if c.sock.busy || c.sock.paused || c.silence == 0 {
		return never
	}
	return l.since(c.last) + int64(c.silence)
}

// writeDue is when the socket has taken nothing for too long.
func (l *loop) writeDue(c *Conn) int64 {
	if c.sock.last || c.sock.hurries {
		return c.sock.progress + int64(closeTimeout)
	}
	return c.sock.progress + int64(writeTimeout)
}
