package bridge

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	wirePending = 64 << 10        // bytes waiting to be written before the sender waits
	wireLinger  = 2 * time.Second // for the last packet when closing
)

// wire is the net.Conn handed to the MQTT client. Reads are buffered and a
// packet larger than the announced Maximum Packet Size fails before anybody
// allocates room for it. Writes are collected and written by one goroutine, so
// that packets which become ready during a system call leave together in the
// next one.
type wire struct {
	net.Conn
	slot   chan struct{}   // holds a token while a packet is being put together
	onFail func(err error) // hears of the first error

	reader  *bufio.Reader
	maxSize uint32
	left    int // bytes of the present packet still to be read

	lastRead  atomic.Int64 // time of the last byte, Unix ns
	lastWrite atomic.Int64
	waiting   atomic.Bool // a read is blocked on the peer

	mu struct {
		sync.Mutex
		pending  []byte
		appended int64 // bytes given to Write, ever
		written  int64 // bytes that left
		err      error
		closing  bool
		changed  chan struct{} // closed and replaced whenever one of the above changes
	}
	flushed chan struct{} // closed when the flusher has ended
}

func newWire(c net.Conn, maxSize uint32, onFail func(error)) *wire {
	w := &wire{Conn: c, slot: make(chan struct{}, 1), onFail: onFail, maxSize: maxSize, flushed: make(chan struct{})}
	w.reader = bufio.NewReaderSize(meter{w}, 4<<10)
	w.mu.changed = make(chan struct{})
	now := time.Now().UnixNano()
	w.lastRead.Store(now)
	w.lastWrite.Store(now)
	go w.flush()
	return w
}

// meter reads from the socket and notes when bytes arrived.
type meter struct{ w *wire }

func (m meter) Read(p []byte) (int, error) {
	m.w.waiting.Store(true)
	n, err := m.w.Conn.Read(p)
	m.w.waiting.Store(false)
	if n > 0 {
		m.w.lastRead.Store(time.Now().UnixNano())
	}
	return n, err
}

// Read returns bytes of one packet at a time.
func (w *wire) Read(p []byte) (int, error) {
	if w.left == 0 {
		if err := w.header(); err != nil {
			w.fail(err)
			return 0, err
		}
	}
	n, err := w.reader.Read(p[:min(len(p), w.left)])
	w.left -= n
	if err != nil {
		w.fail(err)
	}
	return n, err
}

// header looks at the fixed header of the next packet without consuming it.
func (w *wire) header() error {
	length := 0
	for i := 1; ; i++ {
		b, err := w.reader.Peek(i + 1)
		if err != nil {
			return err
		}
		length |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			w.left = 1 + i + length
			break
		}
		if i == 4 {
			return failf(ClassProtocol, "malformed Remaining Length from the server [MQTT-1.5.5-1]")
		}
	}
	if w.left > int(w.maxSize) {
		return failf(ClassProtocol, "packet of %d bytes from the server; the Maximum Packet Size announced is %d [MQTT-3.1.2-24]", w.left, w.maxSize)
	}
	return nil
}

// Lock begins a packet; the client calls it before the Writes of one packet.
func (w *wire) Lock() { w.slot <- struct{}{} }

// Unlock ends a packet.
func (w *wire) Unlock() { <-w.slot }

// Write takes bytes for the flusher.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err != nil {
		return 0, w.mu.err
	}
	if w.mu.closing {
		return 0, net.ErrClosed
	}
	w.mu.pending = append(w.mu.pending, p...)
	w.mu.appended += int64(len(p))
	w.signal()
	return len(p), nil
}

// Room waits while too much is pending: this is where a slow link holds back
// the sender. Acknowledgements do not wait here, or two peers that both write
// and do not read could block each other.
func (w *wire) Room() error {
	return w.await(func() bool { return len(w.mu.pending) < wirePending })
}

// Sync waits until everything given to Write so far has left; the write
// deadline by progress bounds it.
func (w *wire) Sync() error {
	w.mu.Lock()
	goal := w.mu.appended
	w.mu.Unlock()
	return w.await(func() bool { return w.mu.written >= goal })
}

// await blocks until ok, which is called with the lock held, or an error.
func (w *wire) await(ok func() bool) error {
	for {
		w.mu.Lock()
		done, err, changed := ok(), w.mu.err, w.mu.changed
		w.mu.Unlock()
		if done || err != nil {
			return err
		}
		<-changed
	}
}

func (w *wire) signal() {
	close(w.mu.changed)
	w.mu.changed = make(chan struct{})
}

func (w *wire) flush() {
	defer close(w.flushed)
	var spare []byte
	for {
		w.mu.Lock()
		out, closing, err, changed := w.mu.pending, w.mu.closing, w.mu.err, w.mu.changed
		w.mu.pending = spare[:0]
		w.mu.Unlock()
		switch {
		case err != nil, closing && len(out) == 0:
			return
		case len(out) == 0:
			spare = out
			<-changed
			continue
		}
		n, err := w.Conn.Write(out)
		w.lastWrite.Store(time.Now().UnixNano())
		spare = out
		if cap(spare) > 2*wirePending {
			spare = nil
		}
		w.mu.Lock()
		w.mu.written += int64(n)
		w.signal()
		w.mu.Unlock()
		if err != nil {
			w.fail(err)
			return
		}
	}
}

// fail notes the first error and ends the connection.
func (w *wire) fail(err error) {
	w.mu.Lock()
	first := w.mu.err == nil
	if first {
		w.mu.err = err
	}
	w.signal()
	w.mu.Unlock()
	if first {
		w.onFail(err)
	}
	_ = w.Conn.Close()
}

// Close lets what is pending leave, for at most wireLinger, and closes.
func (w *wire) Close() error {
	w.mu.Lock()
	w.mu.closing = true
	w.signal()
	w.mu.Unlock()
	linger := time.NewTimer(wireLinger)
	defer linger.Stop()
	select {
	case <-w.flushed:
	case <-linger.C:
	}
	err := w.Conn.Close()
	<-w.flushed
	return err
}
