package conn

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// aside watches connections whose clients send nothing but PUBACK. That is in
// no hurry, so the loop hears it when others have woken it, which saves a
// wake-up for each message of QoS 1. When the others do not come often enough,
// or fall silent, these wake the loop like all.
type aside struct {
	loop    *poller // which watches epoll and timer
	epoll   int
	timer   int   // a timerfd: the others have been silent for a lull
	members int   // how many are watched
	muted   bool  // they do not wake the loop
	full    bool  // look did not report all
	set     int64 // when the timer was set
	seen    int64 // when look was last called
	events  [64]syscall.EpollEvent
}

const (
	// lull is how long a packet may wait because nobody else wakes the loop;
	// lookEach, how long while others do.
	lull     = 8 * time.Millisecond
	lookEach = 2 * time.Millisecond
	// settled is after how many reads of nothing but PUBACK a connection is set
	// aside; needed, after how many if its PUBACK were waited for.
	settled, needed = 16, 1000
)

func newAside(p *poller) (*aside, error) {
	a := &aside{loop: p, timer: -1, set: -int64(lull)}
	var err error
	if a.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := a.open(); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *aside) open() error {
	const monotonic = 1
	r, _, errno := syscall.RawSyscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		return os.NewSyscallError("timerfd_create", errno)
	}
	a.timer = int(r)
	if err := control(a.loop.fd, syscall.EPOLL_CTL_ADD, int32(a.timer), syscall.EPOLLIN|edge); err != nil {
		return err
	}
	return control(a.loop.fd, syscall.EPOLL_CTL_ADD, int32(a.epoll), syscall.EPOLLIN|edge)
}

func (a *aside) close() {
	if a.timer >= 0 {
		syscall.Close(a.timer)
	}
	syscall.Close(a.epoll)
}

// mute says whether they may wait, from now on for a lull at most: it is called
// in each round.
func (a *aside) mute(now int64, on bool) {
	if on && now-a.set > int64(lull/2) {
		a.set = now
		spec := [2]syscall.Timespec{1: syscall.NsecToTimespec(int64(lull))}
		_, _, errno := syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(a.timer), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
		on = errno == 0
	}
	if on == a.muted {
		return
	}
	events := uint32(syscall.EPOLLIN | edge)
	if on {
		events = edge
	}
	// What came while it was muted is reported when it is not any more.
	if control(a.loop.fd, syscall.EPOLL_CTL_MOD, int32(a.epoll), events) == nil {
		a.muted = on
	}
}

// look fills a.events and returns how many there are, without waiting.
func (a *aside) look(now int64) int {
	a.seen = now
	n := wait(a.epoll, a.events[:])
	a.full = n == len(a.events)
	return n
}

// sort sets c aside or recalls it, by what was just read of it.
func (l *loop) sort(c *Conn) {
	s := &c.sock
	switch {
	case c.asked || len(s.in) > 0:
		c.asked, s.acks = false, 0
		l.recall(c)
	case !s.aside && s.events == syscall.EPOLLIN:
		if s.acks++; s.acks >= settled {
			l.setAside(c)
		}
	}
}

func (l *loop) setAside(c *Conn) {
	l.aside.members++
	c.sock.aside = true
	l.move(c, l.poller.fd, l.aside.epoll)
}

// recall makes c wake the loop again.
func (l *loop) recall(c *Conn) {
	if !c.sock.aside {
		return
	}
	l.aside.members--
	c.sock.aside, c.sock.acks = false, 0
	l.move(c, l.aside.epoll, l.poller.fd)
}

// move lets another instance watch c, which reports what is there already.
func (l *loop) move(c *Conn, from, to int) {
	err := control(from, syscall.EPOLL_CTL_DEL, c.sock.fd, 0)
	if err == nil {
		err = watch(to, syscall.EPOLL_CTL_ADD, c.sock.fd, c.sock.events)
	}
	if err != nil {
		c.shut(err)
	}
}

// need recalls c if its session waits for PUBACK, for longer than for one
// message [MQTT-3.3.4-9].
func (l *loop) need(c *Conn) {
	if c.sock.aside && c.waiting {
		l.recall(c)
		c.sock.acks = settled - needed
	}
}
