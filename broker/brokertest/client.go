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
	arrived chan struct{} // something came since it was last looked
	sent    uint64        // bytes

	inbox struct {
		sync.Mutex
		packets []received
		ended   bool
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
	c := &Client{tb: tb, nc: nc, version: v, arrived: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.read() // why the stream ended is for the test to tell from what came
		c.put(received{}, true)
	}()
	tb.Cleanup(func() {
		nc.Close()
		<-done
	})
	return c
}

func (c *Client) read() error {
	buf, n := make([]byte, 4<<10), 0
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
			c.put(received{Render(&v), bytes.Clone(buf[:size])}, false)
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

// put adds a packet, or the end of the stream, to the inbox.
func (c *Client) put(p received, last bool) {
	c.inbox.Lock()
	if c.inbox.ended = last; !last {
		c.inbox.packets = append(c.inbox.packets, p)
	}
	c.inbox.Unlock()
	select {
	case c.arrived <- struct{}{}:
	default: // it is marked already
	}
}

// pending takes the next packet, end behind the last one, nothing if none has
// come yet.
func (c *Client) pending() received {
	c.inbox.Lock()
	defer c.inbox.Unlock()
	if len(c.inbox.packets) > 0 {
		p := c.inbox.packets[0]
		c.inbox.packets = c.inbox.packets[1:]
		return p
	}
	if c.inbox.ended {
		return end
	}
	return received{}
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
	for {
		if p := c.pending(); p.text != "" {
			return p
		}
		select {
		case <-c.arrived:
		case <-timer.C:
			return received{}
		}
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

// Connect sends CONNECT with these words and expects to be accepted.
func (c *Client) Connect(words string) {
	c.tb.Helper()
	c.Send("CONNECT " + words)
	c.Expect("CONNACK rc=0x00 ...")
}

// Close cuts the connection without DISCONNECT.
func (c *Client) Close() { c.nc.Close() }
