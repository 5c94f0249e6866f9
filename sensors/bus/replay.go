package bus

import (
	"fmt"
	"net"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
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
	done chan struct{}
}

func (t *tape) port(where string) *tapePort {
	inner, outer := net.Pipe()
	p := &tapePort{outer, make(chan struct{})}
	written := make(chan int, 256) // what is said must not wait until it is heard
	go func() {                    // ends when either end is closed and the player has gone
		defer close(written)
		b := make([]byte, 4096)
		for {
			n, err := inner.Read(b)
			if err != nil {
				return
			}
			written <- n
		}
	}()
	go func() {
		defer close(p.done)
		t.play(where, inner, written)
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

// play says what the recording has, each thing as long after the one before
// as then, and waits where something was sent until it is sent again.
func (t *tape) play(where string, inner net.Conn, written <-chan int) {
	base, at, sent := t.start, time.Duration(0), 0
	for {
		e, ok := t.next(where, func(*recorded) bool { return true })
		if !ok {
			break
		}
		for sent < len(e.sent) {
			n, open := <-written
			if !open {
				return
			}
			sent += n
			base, at = time.Now(), e.at
		}
		sent -= len(e.sent)
		for wait := time.After(time.Until(base.Add(e.at - at))); wait != nil && len(e.received) > 0; {
			select {
			case n, open := <-written:
				if !open {
					return
				}
				sent += n
			case <-wait:
				wait = nil
			}
		}
		if _, err := inner.Write(e.received); err != nil && len(e.received) > 0 {
			return
		}
	}
	for range written { // silence
	}
}
