package serial

import (
	"context"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Waiter waits for what arrives at many ports with one goroutine, Run's: a
// reader that is parked in each of a hundred ports holds a stack of 8 kB there.
// It has an epoll of its own, which Go's netpoller watches in turn. Its methods
// may be called from several goroutines; its lock is a leaf.
type Waiter struct {
	first chan struct{} // closed when there is a port to wait for

	mu    sync.Mutex
	poll  *os.File // nil: nobody has waited yet, or Run has ended
	ended bool
	last  int32 // number of a wait; numbers of descriptors come again
	waits map[int32]*wait
}

// Ports are told of a few at a time, and those have the processor before others.
// When very many have something at once there is a pause after crowd of them:
// all that is done about them at the same moment needs stacks of its own. A pause
// wakes the processor again, so it is not made after each few.
const (
	atATime = 4
	crowd   = 16
	breath  = time.Millisecond
)

// wait is one stream that somebody waits for.
type wait struct {
	w    *Waiter
	id   int32
	s    *stream
	port *port
	f    func()
}

// NewWaiter returns a Waiter. It takes nothing of the system before it is used.
func NewWaiter() *Waiter {
	return &Waiter{first: make(chan struct{}), waits: map[int32]*wait{}}
}

// Run waits for all ports until ctx ends; after that Await has no effect.
func (w *Waiter) Run(ctx context.Context) {
	select {
	case <-w.first:
		w.listen(ctx)
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	clear(w.waits)
	if w.poll != nil {
		_ = w.poll.Close() // nothing was written
		w.poll = nil
	}
}

// listen handles what arrives until ctx ends.
func (w *Waiter) listen(ctx context.Context) {
	poll := w.poll // Run closes it, later
	stop := context.AfterFunc(ctx, func() { _ = poll.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := poll.SyscallConn()
	if err != nil {
		return // it is open
	}
	var ready [atATime]unix.EpollEvent
	for row := 0; ctx.Err() == nil; {
		n := 0
		if err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), ready[:], 0)
			return n > 0
		}); err != nil {
			return // the deadline
		}
		for _, e := range ready[:n] {
			w.arrived(e.Fd)
		}
		runtime.Gosched() // to whom they were told
		switch row += n; {
		case n < atATime:
			row = 0
		case row >= crowd:
			time.Sleep(breath)
			row = 0
		}
	}
}

// arrived reads what a port has, and tells whoever waits for it when there is a
// piece.
func (w *Waiter) arrived(id int32) {
	w.mu.Lock()
	t := w.waits[id]
	if t == nil || !t.s.fill(t.port) && w.arm(t) == nil {
		w.mu.Unlock()
		return
	}
	delete(w.waits, id)
	w.mu.Unlock()
	t.f()
}

// add has t told, and reports whether it can be.
func (w *Waiter) add(t *wait) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || w.poll == nil && !w.open() {
		return false
	}
	w.last++
	t.id = w.last
	if w.arm(t) != nil {
		return false
	}
	w.waits[t.id] = t
	return true
}

// open makes the epoll. With the lock.
func (w *Waiter) open() bool {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd) // nothing was written
		return false
	}
	w.poll = os.NewFile(uintptr(fd), "epoll")
	close(w.first)
	return true
}

// leave ends t if it still waits. What its port has to say after that is
// nobody's wait, once.
func (w *Waiter) leave(t *wait) {
	w.mu.Lock()
	delete(w.waits, t.id)
	w.mu.Unlock()
}

// arm has the kernel say once that t's port has something. The kernel forgets a
// port when it is closed. With the lock.
func (w *Waiter) arm(t *wait) error {
	err := w.control(t, unix.EPOLL_CTL_MOD)
	if err == unix.ENOENT {
		err = w.control(t, unix.EPOLL_CTL_ADD)
	}
	return err
}

func (w *Waiter) control(t *wait, op int) error {
	raw, err := w.poll.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(poll uintptr) {
		inner = t.port.control(func(fd int) error {
			return unix.EpollCtl(int(poll), op, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: t.id})
		})
	})
	if err != nil {
		return err
	}
	return inner
}

// await has w call f once, when next has something to return; false where
// nobody can tell.
func (s *stream) await(w *Waiter, f func()) bool {
	s.leave()
	p, ok := s.r.(*port)
	if !ok || w == nil {
		return false
	}
	if s.ready() {
		f()
		return true
	}
	t := &wait{w: w, s: s, port: p, f: f}
	s.wait.Store(t)
	if !w.add(t) {
		s.wait.Store(nil)
		return false
	}
	return true
}

// leave ends an await.
func (s *stream) leave() {
	if t := s.wait.Swap(nil); t != nil {
		t.w.leave(t)
	}
}

// fill reads what the port has, and reports whether next has something to
// return.
func (s *stream) fill(p *port) bool {
	n, err := p.readNow(s.cut.space())
	if n > 0 {
		s.took(n)
	}
	if err != nil {
		s.err = err
	}
	return s.ready()
}

// readNow reads what is there, and does not wait for more.
func (p *port) readNow(b []byte) (n int, err error) {
	err = p.control(func(fd int) (err error) {
		n, err = unix.Read(fd, b)
		if n == 0 && err == nil {
			return io.EOF
		}
		return err
	})
	if err == unix.EAGAIN || err == unix.EINTR {
		return 0, nil
	}
	return max(n, 0), p.fail("read", err)
}
