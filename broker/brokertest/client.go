package brokertest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// patience is how long a client waits for a packet. In a synctest bubble it
// costs nothing.
const patience = 10 * time.Second

// Client is one Network Connection seen from the client's side.
type Client struct {
	tb      testing.TB
	nc      net.Conn
	version mqtt.Version
	packets chan received // closed at the end of the stream
	sent    uint64        // bytes

	inbox struct {
		sync.Mutex
		err error
	}
}

// received is one packet as wire scripts write it, and as it came.
type received struct {
	text string
	raw  []byte
}

// end is what stands for the end of the stream.
var end = received{text: "closed"}

// NewClient speaks version v over nc. A goroutine reads until the connection
// ends; Cleanup closes it and waits.
func NewClient(tb testing.TB, nc net.Conn, v mqtt.Version) *Client {
	c := &Client{tb: tb, nc: nc, version: v, packets: make(chan received, 1<<16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(c.packets)
		c.inbox.Lock()
		defer c.inbox.Unlock()
		c.inbox.err = c.read()
	}()
	tb.Cleanup(func() {
		nc.Close()
		<-done
	})
	return c
}

func (c *Client) read() error {
	buf, n := make([]byte, 64<<10), 0
	var v packet.View
	for {
		m, err := c.nc.Read(buf[n:])
		n += m
		for {
			size, ferr := packet.Frame(buf[:n], 0)
			if ferr != nil {
				return ferr
			}
			if size == 0 {
				break
			}
			if derr := packet.Decode(buf[:size], c.version, &v); derr != nil {
				return derr
			}
			if derr := v.FromServer(); derr != nil {
				return derr
			}
			c.packets <- received{Render(&v), bytes.Clone(buf[:size])}
			copy(buf, buf[size:n])
			n -= size
		}
		if err != nil {
			return err
		}
		if n == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

// Send writes one packet given in the words of wire scripts.
func (c *Client) Send(line string) {
	c.tb.Helper()
	v, err := Parse(line)
	if err != nil {
		c.tb.Fatal(err)
	}
	if v.Type == packet.CONNECT {
		v.Connect.Version = c.version
	}
	c.SendBytes(packet.Append(nil, c.version, v))
}

// SendBytes writes bytes as they are. A server that closes meanwhile is no
// failure; what it said is there to be received.
func (c *Client) SendBytes(b []byte) {
	c.tb.Helper()
	if err := c.nc.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return
	}
	c.sent += uint64(len(b))
	if _, err := c.nc.Write(b); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		c.tb.Logf("write: %v", err)
	}
}

// Receive returns the next packet, rendered; "closed" at the end.
func (c *Client) Receive() string {
	c.tb.Helper()
	p := c.take(patience)
	if p.text == "" {
		c.tb.Fatal("no packet in time")
	}
	return p.text
}

// take waits for the next packet; it is empty when there is none in time.
func (c *Client) take(patience time.Duration) received {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case p, ok := <-c.packets:
		if !ok {
			return end
		}
		return p
	case <-timer.C:
		return received{}
	}
}

// Expect receives a packet and compares it with one in the words of wire
// scripts.
func (c *Client) Expect(line string) {
	c.tb.Helper()
	got := c.Receive()
	if err := Compare(line, got); err != nil {
		c.tb.Fatal(err)
	}
}

// ExpectClosed fails unless the server has closed without another packet.
func (c *Client) ExpectClosed() {
	c.tb.Helper()
	if got := c.Receive(); got != "closed" {
		c.tb.Fatalf("received %s, want the end of the connection", got)
	}
}

// Pending returns a packet that has come already, or "".
func (c *Client) Pending() string { return c.pending().text }

func (c *Client) pending() received {
	select {
	case p, ok := <-c.packets:
		if !ok {
			return end
		}
		return p
	default:
		return received{}
	}
}

// Connect sends CONNECT with these words and expects to be accepted.
func (c *Client) Connect(words string) {
	c.tb.Helper()
	c.Send("CONNECT " + words)
	c.Expect("CONNACK rc=0x00 ...")
}

// Close cuts the connection without DISCONNECT.
func (c *Client) Close() { c.nc.Close() }
