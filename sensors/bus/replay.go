package bus

import (
	"fmt"
	"net"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// tapeI2C is an I2C bus that a tape plays.
type tapeI2C struct {
	t  *tape
	id string
}

var _ i2c.Bus = tapeI2C{}

func (b tapeI2C) String() string { return b.id }
func (b tapeI2C) Tx(addr uint16, w, r []byte) error {
	return b.t.tx(fmt.Sprintf("%s 0x%02x", b.id, addr), w, r)
}
func (b tapeI2C) SetSpeed(physic.Frequency) error { return nil }

// tapeSPI is an SPI bus that a tape plays.
type tapeSPI tapeI2C

var _ conn.Conn = tapeSPI{}

func (b tapeSPI) String() string       { return b.id }
func (b tapeSPI) Tx(w, r []byte) error { return b.t.tx(b.id, w, r) }
func (b tapeSPI) Duplex() conn.Duplex  { return conn.Full }

// tapePort is a port or connection that a tape plays, on a goroutine that
// Close waits for.
type tapePort struct {
	net.Conn
	t      *tape
	where  string
	number int                           // of bytes that number a request, and its answer, at their beginning
	failed atomic.Pointer[sensors.Fault] // as then
	done   chan struct{}
}

func (t *tape) port(where string, number int) *tapePort {
	inner, outer := net.Pipe()
	p := &tapePort{Conn: outer, t: t, where: where, number: number, done: make(chan struct{})}
	written := make(chan []byte, 256) // what is said must not wait until it is heard
	go func() {                       // ends when either end is closed and the player has gone
		defer close(written)
		b := make([]byte, 4096)
		for {
			n, err := inner.Read(b)
			if err != nil {
				return
			}
			written <- slices.Clone(b[:n])
		}
	}()
	go func() {
		defer close(p.done)
		p.play(inner, written)
		_ = inner.Close() // a pipe's never fails
		for range written {
		}
	}()
	return p
}

// Close ends the port's goroutines.
func (p *tapePort) Close() error {
	err := p.Conn.Close()
	<-p.done
	return err
}

// Read implements serial.Port.
func (p *tapePort) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	return n, p.orFailed(err)
}

// Write implements serial.Port.
func (p *tapePort) Write(b []byte) (int, error) {
	n, err := p.Conn.Write(b)
	return n, p.orFailed(err)
}

// orFailed is err, or how the port failed then.
func (p *tapePort) orFailed(err error) error {
	if f := p.failed.Load(); f != nil && err != nil {
		return f
	}
	return err
}

// play says what the recording has: a device that was asked answers, as long
// after the request as then; any other says everything as long after the start
// as then, whatever is sent to it. It ends when the port is closed or has failed.
func (p *tapePort) play(inner net.Conn, written <-chan []byte) {
	asked := p.t.asked(p.where)
	var owed []recorded // answers
	for {
		if !asked {
			owed = p.t.first(p.where)
		}
		var due <-chan time.Time
		if len(owed) > 0 {
			due = time.After(time.Until(p.t.start.Add(owed[0].at)))
		}
		select {
		case request, open := <-written:
			if !open {
				return
			}
			if asked {
				owed = append(owed, p.t.answer(p.where, request, p.number)...)
				sort.SliceStable(owed, func(i, j int) bool { return owed[i].at < owed[j].at })
			}
		case <-due:
			e := owed[0]
			owed = owed[1:]
			if len(e.received) > 0 {
				if _, err := inner.Write(e.received); err != nil {
					return // not heard: said to who opens the port next
				}
			}
			if !asked {
				p.t.drop(p.where)
			}
			if len(e.sent) == 0 && e.reason != "" {
				p.failed.Store(&sensors.Fault{Reason: e.reason, Err: errRecorded})
				return
			}
		}
	}
}
