package conn

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

const (
	firstBuffer = 2 << 10
	maxBuffer   = 64 << 10 // beyond it a buffer grows only for one larger packet
)

// errEnd is the end of a connection that the client asked for.
var errEnd = errors.New("DISCONNECT received")

// Own makes the connection one that goroutines can drive, before Serve and
// before anybody else may look at it.
func (c *Conn) Own() { c.nc = listen.Whole(c.nc) }

// Serve runs the connection until it ends and everything it started has
// returned. A panic ends this connection only.
func (c *Conn) Serve() {
	c.scratch = newScratch()
	c.w.Lock()
	c.w.begin()
	c.w.Unlock()
	err := c.readAll()
	c.shut(err)
	<-c.w.ended
	c.report(err)
	if c.peer != nil {
		c.cfg.Server.Disconnect(c, c.end)
	}
	c.leave()
	c.linger()
	c.nc.Close()
}

// readAll is the reading goroutine's loop.
func (c *Conn) readAll() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = c.panicked(p)
		}
	}()
	c.last = time.Now()
	c.silence = connectTimeout
	if err := c.arm(c.last); err != nil {
		return err
	}
	if err := c.handshake(c.last.Add(connectTimeout)); err != nil {
		return err
	}
	buf, n := make([]byte, firstBuffer), 0
	var ferr error
	for {
		m, err := c.nc.Read(buf[n:])
		n += m
		c.in.Bytes += uint64(m)
		if n, ferr = c.digest(buf, n); ferr != nil {
			return ferr
		}
		if err != nil {
			if err = c.overslept(err); err != nil {
				return err
			}
		}
		if buf, err = c.fit(buf, n, m); err != nil {
			return err
		}
	}
}

// fit gives the buffer of a reader the size for what comes: n bytes wait in it
// for their rest, m were read at once.
func (c *Conn) fit(buf []byte, n, m int) ([]byte, error) {
	short := c.cfg.Memory.Level() > 0
	switch {
	case n == len(buf) || m == len(buf) && len(buf) < maxBuffer && !short:
		if c.holdInput(2*len(buf), smallRead) {
			return append(buf, make([]byte, len(buf))...), nil
		}
		if n == len(buf) {
			return nil, errInput
		}
	case n == 0 && short && len(buf) > firstBuffer:
		buf = make([]byte, firstBuffer)
		c.holdInput(len(buf), smallRead)
	case n == 0 && len(buf) > maxBuffer:
		buf = make([]byte, maxBuffer)
		c.holdInput(len(buf), smallRead)
	}
	return buf, nil
}

// digest works off the whole packets in buf[:n], at the pace of the client, and
// returns how many bytes are left at the start of buf.
func (c *Conn) digest(buf []byte, n int) (int, error) {
	for {
		now := time.Now()
		used, err := c.feed(now, buf[:n])
		n = copy(buf, buf[used:n])
		if err == nil && c.ahead {
			if _, closing := c.cause(); !closing {
				continue
			}
		}
		wait := c.rest(now)
		if err != nil || wait == 0 {
			return n, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.w.ended: // arm says why
			timer.Stop()
		}
		// Nobody is silent who is not listened to.
		c.last = time.Now()
		if err := c.arm(c.last); err != nil {
			return n, err
		}
	}
}

// panicked counts and logs a panic; the connection ends with the error.
func (c *Conn) panicked(p any) error {
	c.cfg.Counters.Panics.Add(1)
	c.cfg.Log.Error("connection panicked", c.about("err", p, "stack", string(debug.Stack()))...)
	return mqtt.Errorf(mqtt.UnspecifiedError, "", "internal error")
}

// feed works off the whole packets in b and returns how many bytes they had.
// Their acknowledgements are settled together: one commit, one write.
func (c *Conn) feed(now time.Time, b []byte) (used int, err error) {
	c.feeding.Store(true)
	c.ahead = false
	for err == nil && c.away == nil && c.rest(now) == 0 {
		n, ferr := c.frame(b[used:])
		if ferr != nil || n == 0 {
			err = ferr
			break
		}
		if c.ahead = c.isAhead(b[used]); c.ahead {
			break
		}
		p := b[used : used+n]
		used += n
		if c.loop != nil && c.mayCompute(p) {
			p = bytes.Clone(p)
			c.away = func() error { return c.work(now, p) }
			break
		}
		err = c.work(now, p)
	}
	c.feeding.Store(false)
	c.received.take(&c.in)
	if c.missed.Swap(false) {
		c.pending.wake = true
	}
	c.settle()
	if away := c.away; away != nil {
		c.away = nil
		c.loop.apart(c, away)
	}
	return used, err
}

// work works off one packet.
func (c *Conn) work(now time.Time, b []byte) error {
	err := c.packet(now, b)
	c.trim()
	if c.peer != nil { // until then the clock that started at accept runs
		c.last = now
	}
	return err
}

// manyFilters is how many Topic Filters of one packet are unusual.
const manyFilters = 100

// trim gives back what an unusual packet made large: a connection may not hold
// for ever what it needed once.
func (c *Conn) trim() {
	if cap(c.view.Properties.User) > maxUserProperties || cap(c.view.Connect.Will.User) > maxUserProperties || cap(c.view.Filters) > manyFilters {
		c.view, c.effects, c.reasons = packet.View{}, nil, nil
	}
}

// mayCompute reports whether working off the packet p may take as long as a
// password hash.
func (c *Conn) mayCompute(p []byte) bool {
	switch packet.Type(p[0] >> 4) {
	case packet.AUTH:
		return true
	case packet.CONNECT:
		v := &c.view
		return packet.Decode(p, 0, v) == nil && (v.Connect.HasPassword || v.Properties.Has&packet.HasAuthMethod != 0)
	}
	return false
}

// overslept decides what a failed read means. A deadline that passed while
// packets came is moved: that is one system call per interval, not per packet.
func (c *Conn) overslept(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if c.silence == 0 || time.Now().Before(c.last.Add(c.silence)) {
		return c.arm(c.last)
	}
	return c.silent()
}

// silent is the end of a connection that silence has passed on.
func (c *Conn) silent() error {
	if c.peer == nil {
		return errors.New("no CONNECT in time")
	}
	c.cfg.Counters.KeepAliveExpired.Add(1)
	return mqtt.Errorf(mqtt.KeepAliveTimeout, "MQTT-3.1.2-22", "no packet within one and a half keep alive")
}

// arm lets reads fail when silence has passed since from. It gives the reason
// of the end instead if the writer has finished and woke the reader.
func (c *Conn) arm(from time.Time) error {
	if c.loop != nil { // it looks at silence itself
		return nil
	}
	c.w.Lock()
	defer c.w.Unlock()
	if c.w.finished {
		return cmp.Or(c.w.cause, error(net.ErrClosed))
	}
	if c.silence == 0 {
		return c.nc.SetReadDeadline(time.Time{})
	}
	return c.nc.SetReadDeadline(from.Add(c.silence))
}

// report logs the end once.
func (c *Conn) report(err error) {
	c.w.Lock()
	err = cmp.Or(c.w.cause, err)
	c.w.Unlock()
	line, say := "client disconnected", c.cfg.Log.Info
	if c.peer == nil {
		say = c.cfg.Log.Debug // scanners and health checks
	}
	var e *mqtt.Error
	var why []any
	switch {
	case errors.As(err, &e) && c.peer == nil && c.request != nil && aboutIdentity(e.Code):
		c.end.Reason = e.Code
		line, say = "client refused", c.cfg.Log.Warn
		why = []any{"client_id", c.request.ClientID, "user", c.request.Username, "reason", e.Code.String(), "err", e.Msg}
	case errors.As(err, &e):
		c.end.Reason = e.Code
		if e.Spec != "" {
			say = c.cfg.Log.Warn
			c.cfg.Counters.ProtocolErrors.Add(1)
		}
		why = []any{"reason", e.Code.String(), "err", e.Msg, "spec", e.Spec}
	case errors.Is(err, errEnd):
		why = []any{"reason", c.end.Reason.String()}
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		c.end.Lost = true
		why = []any{"reason", "connection closed"}
	default:
		c.end.Lost = true
		why = []any{"reason", "connection lost", "err", err}
	}
	say(line, c.about(why...)...)
}

// aboutIdentity reports whether a CONNECT was refused because of who sent it:
// what an operator looks for when a device does not come in, or somebody
// tries passwords.
func aboutIdentity(code mqtt.ReasonCode) bool {
	switch code {
	case mqtt.BadUserNameOrPassword, mqtt.NotAuthorized, mqtt.ClientIdentifierNotValid, mqtt.Banned, mqtt.BadAuthenticationMethod:
		return true
	}
	return false
}

// unask lets go of what the client asked for when nothing is done for it any
// more: its will may be as large as a packet, and nobody counts it.
func (c *Conn) unask() {
	if c.request != nil {
		c.request.Will, c.request.Password = nil, nil
	}
}

// linger lets the last packet arrive: closing a TCP socket with unread input
// resets it, and the peer may lose what was sent just before.
func (c *Conn) linger() {
	var e *mqtt.Error
	s, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || !errors.As(c.w.cause, &e) || s.CloseWrite() != nil {
		return
	}
	c.unask()
	c.view = packet.View{} // it lies in the buffer of what was read
	if c.nc.SetReadDeadline(time.Now().Add(closeTimeout)) != nil {
		return
	}
	io.Copy(io.Discard, io.LimitReader(c.nc, 1<<20)) // whatever ends it, the socket is closed next
}
