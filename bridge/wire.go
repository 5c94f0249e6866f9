package bridge

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	wirePending = 64 << 10        // bytes waiting to be written before the sender waits
	wireLinger  = 2 * time.Second // for the last packet when closing
	wireRead    = 4 << 10         // read buffer to begin with
	wireKeep    = 64 << 10        // a larger one is given back once it is empty
	wireCork    = 4 << 10         // bytes that the sender collects before it writes
)

// wire is the bytes of one connection. The reader takes whole packets with
// next; the buffer grows with what has arrived, never with what a header
// claims. Writes are collected, so that packets which become ready during a
// system call leave together in the next one. Whoever may wait writes them
// itself, with push or sync; for those who must not there is the flusher.
type wire struct {
	conn   net.Conn
	onFail func(err error) // hears of the first error
	// sendNow writes what conn takes without waiting; an error shows in the write
	// that follows. nil: there is no such way.
	sendNow func(p []byte) int

	// The reader's own.
	maxSize uint32
	in      []byte    // bytes read
	start   int       // those before it were handed out
	shorten bool      // a PUBLISH above maxSize loses its payload in place of ending the connection
	cut     bool      // so did the last one
	heard   time.Time // the last byte came

	lastRead  atomic.Int64 // time of the last byte, Unix ns
	lastWrite atomic.Int64
	waiting   atomic.Bool // a read is blocked on the peer

	mu struct {
		sync.Mutex
		pending  []byte
		spare    []byte    // the next pending
		appended int64     // bytes given to write, ever
		written  int64     // bytes that left
		heard    int64     // written when the last byte came
		bulk     time.Time // when a large piece last left
		leaving  bool      // somebody writes
		writing  bool      // a large piece
		err      error
		closing  bool
		changed  signal // one of the above
		work     signal // for the flusher
	}
	flushed chan struct{} // closed when the flusher has ended
}

func newWire(c net.Conn, maxSize uint32, onFail func(error)) *wire {
	w := &wire{conn: c, onFail: onFail, maxSize: maxSize, flushed: make(chan struct{})}
	if c, ok := c.(progressConn); ok && c.raw != nil {
		w.sendNow = c.sendNow
	}
	now := time.Now().UnixNano()
	w.lastRead.Store(now)
	w.lastWrite.Store(now)
	go w.flush()
	return w
}

// unheard is how many bytes left since the server was last heard, as far as
// the kernel can still hold them.
func (w *wire) unheard() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return min(w.mu.written-w.mu.heard, sendBuffer)
}

// busy is when bytes were last on their way in quantity: now, while a slow
// link takes them one by one.
func (w *wire) busy() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.writing {
		return time.Now()
	}
	return w.mu.bulk
}

// write takes the bytes of one packet for the flusher.
func (w *wire) write(p []byte) error {
	_, _, err := w.put(p, false)
	return err
}

// put takes the bytes of one packet, and tells the flusher unless they may
// wait for a push; whoever lets them must push before it waits for anything.
// end is the place behind them in all that is written, n how much is pending.
func (w *wire) put(p []byte, later bool) (end int64, n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err != nil {
		return 0, 0, w.mu.err
	}
	if w.mu.closing {
		return 0, 0, net.ErrClosed
	}
	w.mu.pending = append(w.mu.pending, p...)
	w.mu.appended += int64(len(p))
	if !later && !w.mu.leaving {
		w.mu.work.tell()
	}
	return w.mu.appended, len(w.mu.pending), nil
}

// push writes what is pending, unless somebody else does. It blocks as a write
// does; an error is kept.
func (w *wire) push() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leave()
}

// offer is push that does not wait: what the connection does not take at once is
// left to the flusher.
func (w *wire) offer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &w.mu
	if m.leaving || len(m.pending) == 0 || m.err != nil {
		return
	}
	if w.sendNow != nil {
		out := w.begin()
		m.Unlock()
		n := w.sendNow(out)
		m.Lock()
		w.end(out, n, out[n:])
	}
	if len(m.pending) > 0 {
		m.work.tell()
	}
}

// choked reports whether so much is pending that the sender waits for room.
func (w *wire) choked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.mu.pending) >= wirePending
}

// left is how many bytes have left.
func (w *wire) left() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.written
}

// room waits while too much is pending: this is where a slow link holds back
// the sender. Acknowledgements do not wait here, or two peers that both write
// and do not read could block each other.
func (w *wire) room() error {
	return w.await(func() bool { return len(w.mu.pending) < wirePending })
}

// sync waits until everything given to write so far has left; the write
// deadline by progress bounds it.
func (w *wire) sync() error {
	w.mu.Lock()
	goal := w.mu.appended
	w.leave()
	w.mu.Unlock()
	return w.await(func() bool { return w.mu.written >= goal })
}

// await blocks until ok, which is called with the lock held, or an error.
func (w *wire) await(ok func() bool) error {
	for {
		w.mu.Lock()
		if err := w.mu.err; err != nil || ok() {
			w.mu.Unlock()
			return err
		}
		changed := w.mu.changed.wait()
		w.mu.Unlock()
		<-changed
	}
}

// flush is the flusher: it writes for those who must not wait.
func (w *wire) flush() {
	defer close(w.flushed)
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.mu.err == nil && (!w.mu.closing || w.mu.leaving || len(w.mu.pending) > 0) {
		if w.mu.leaving || len(w.mu.pending) == 0 {
			work := w.mu.work.wait()
			w.mu.Unlock()
			<-work
			w.mu.Lock()
			continue
		}
		w.leave()
	}
}

// leave writes until nothing is pending, unless somebody else does. The caller
// holds the lock, which is free during each write.
func (w *wire) leave() {
	m := &w.mu
	for !m.leaving && len(m.pending) > 0 && m.err == nil {
		out := w.begin()
		m.Unlock()
		n, err := w.conn.Write(out)
		if err != nil {
			w.fail(fmt.Errorf("write: %w", err))
		}
		m.Lock()
		w.end(out, n, nil)
	}
}

// begin takes what is pending to write it. The caller holds the lock, here and
// for end.
func (w *wire) begin() []byte {
	m := &w.mu
	out := m.pending
	m.pending, m.spare = m.spare[:0], nil
	m.leaving, m.writing = true, len(out) > writeChunk
	return out
}

// end notes that the first n bytes of what begin took have left; rest is pending
// again.
func (w *wire) end(out []byte, n int, rest []byte) {
	m := &w.mu
	now := time.Now()
	w.lastWrite.Store(now.UnixNano())
	if m.writing {
		m.bulk = now
	}
	if len(rest) > 0 {
		m.pending = append(rest, m.pending...)
	} else if cap(out) <= 2*wirePending {
		m.spare = out
	}
	m.leaving, m.writing = false, false
	m.written += int64(n)
	m.changed.tell()
	if m.closing {
		m.work.tell()
	}
}

// fail notes the first error and ends the connection.
func (w *wire) fail(err error) {
	w.mu.Lock()
	first := w.mu.err == nil
	if first {
		w.mu.err = err
	}
	w.mu.changed.tell()
	w.mu.work.tell()
	w.mu.Unlock()
	if first {
		w.onFail(err)
	}
	_ = w.conn.Close()
}

// close lets what is pending leave, for at most wireLinger, and closes.
func (w *wire) close() {
	w.mu.Lock()
	w.mu.closing = true
	w.mu.changed.tell()
	w.mu.work.tell()
	w.mu.Unlock()
	linger := time.NewTimer(wireLinger)
	defer linger.Stop()
	select {
	case <-w.flushed:
	case <-linger.C:
	}
	_ = w.conn.Close()
	<-w.flushed
}
