package serial_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// uart is a listener on a pseudo terminal with a microcontroller at the far
// end.
type uart struct {
	*serialtest.Device
	t  *testing.T
	ln net.Listener
	f  serial.Framing
	in *serial.Frames
}

// deviceReader reads what the program wrote; Device has a patience of its own.
type deviceReader struct{ *serialtest.Device }

func (deviceReader) SetReadDeadline(time.Time) error { return nil }

func newUART(t *testing.T, framing string, o serial.ListenOptions) *uart {
	t.Helper()
	u := &uart{Device: serialtest.Pty(t), t: t}
	o.Port = serial.DefaultConfig()
	o.Port.Path, o.Framing = u.Path(), framing
	ln, err := serial.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	u.ln = ln
	u.f = serial.Framing{Kind: framing, Max: 1000, Check: *named(t, "crc16_ccitt_false"), BigEndian: true}
	u.in = serial.NewFrames(deviceReader{u.Device}, u.f)
	u.expect("") // the port is open, and nobody is connected
	return u
}

func (u *uart) frame(payload string) string {
	b, err := u.f.Append(nil, []byte(payload))
	if err != nil {
		u.t.Fatal(err)
	}
	return string(b)
}

func (u *uart) expect(want string) {
	u.t.Helper()
	if b, err := u.in.NextBefore(time.Time{}); err != nil || string(b) != want {
		u.t.Errorf("device received %q, %v; want %q", b, err, want)
	}
}

// accept takes the next connection and the CONNECT that begins it.
func (u *uart) accept() net.Conn {
	u.t.Helper()
	nc, err := u.ln.Accept()
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { nc.Close() })
	u.reads(nc, connect)
	return nc
}

func (u *uart) reads(nc net.Conn, want string) {
	u.t.Helper()
	b := make([]byte, len(want))
	nc.SetReadDeadline(time.Now().Add(soon))
	if _, err := io.ReadFull(nc, b); err != nil || string(b) != want {
		u.t.Errorf("read %q, %v; want %q", b, err, want)
	}
}

func (u *uart) ended(nc net.Conn) {
	u.t.Helper()
	nc.SetReadDeadline(time.Now().Add(soon))
	if n, err := nc.Read(make([]byte, 9)); n != 0 || err != io.EOF {
		u.t.Errorf("read %d bytes, %v; want EOF", n, err)
	}
}

// Packets as small as the fixed header allows: what they say does not matter
// to the line.
const (
	connect = "\x10\x03abc"
	connack = "\x20\x02\x00\x00"
	ping    = "\xc0\x00"
	pong    = "\xd0\x00"
)

func TestListen(t *testing.T) {
	for _, framing := range []string{"cobs", "slip"} {
		t.Run(framing, func(t *testing.T) {
			u := newUART(t, framing, serial.ListenOptions{})
			if a := u.ln.Addr(); a.Network() != "serial" || a.String() != "serial:"+u.Path() {
				t.Errorf("address %v", a)
			}
			u.Send("boot: 0x00\x00\xc0\x10\x00" + u.frame(connect)) // what a board says first means nothing
			nc := u.accept()
			// Packets leave one in a frame, however they were written.
			long := "\x30\x90\x03" + strings.Repeat("\x00\xc0\xdb+", 100)
			stream := connack + long + pong
			for _, piece := range []string{stream[:1], stream[1:6], stream[6:300], stream[300:]} {
				if _, err := nc.Write([]byte(piece)); err != nil {
					t.Fatal(err)
				}
			}
			for _, want := range []string{connack, long, pong} {
				u.expect(want)
			}
			u.Send(u.frame(ping) + u.frame(long))
			u.reads(nc, ping+long)
			if nc.RemoteAddr().String() != "serial:"+u.Path() {
				t.Errorf("remote address %v", nc.RemoteAddr())
			}

			t.Run("the server closes", func(t *testing.T) {
				nc.Write([]byte(pong))
				nc.Close()
				u.expect(pong)
				u.expect("")
				u.Send(u.frame(ping)) // a client that has not noticed
				u.expect("")
			})
			t.Run("another CONNECT takes over", func(t *testing.T) {
				u.Send(u.frame(connect))
				old := u.accept()
				u.Send(u.frame(connect))
				nc = u.accept()
				u.ended(old)
				nc.Write([]byte(connack))
				u.expect(connack)
			})
			t.Run("a damaged frame ends the connection", func(t *testing.T) {
				u.Send(strings.Replace(u.frame("\x30\x03abc"), "b", "B", 1))
				u.ended(nc)
				u.expect("")
			})
			t.Run("so does what is no packet", func(t *testing.T) {
				for _, bad := range []string{ping + ping, "\x30", "\x30\x05abc", "\x30\xff\xff\xff\xff\x01"} {
					u.Send(u.frame(connect))
					nc = u.accept()
					u.Send(u.frame(bad))
					u.ended(nc)
					u.expect("")
				}
			})
			t.Run("a client that leaves", func(t *testing.T) {
				u.Send(u.frame(connect))
				nc = u.accept()
				u.Send(u.frame(""))
				u.ended(nc)
			})
		})
	}
}

func TestListenReplug(t *testing.T) {
	u := newUART(t, "cobs", serial.ListenOptions{})
	u.Send(u.frame(connect))
	nc := u.accept()
	for range 3 {
		u.Unplug()
		u.ended(nc)
		u.Replug()
		u.in.Reset(deviceReader{u.Device})
		u.expect("")
		u.Send(u.frame(connect))
		nc = u.accept()
		u.Send(u.frame(ping))
		u.reads(nc, ping)
	}
	nc.Close()
	u.ln.Close()
	if _, err := u.ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}

// What noise on the line costs is in the log, with how much of it there is.
func TestListenTellsOfDamage(t *testing.T) {
	var text syncBuffer
	u := newUART(t, "cobs", serial.ListenOptions{Log: slog.New(slog.NewTextHandler(&text, nil))})
	u.Send("\x07noise\x00" + u.frame(connect))
	nc := u.accept()
	u.Send(u.frame(ping) + strings.Replace(u.frame("\x30\x03abc"), "b", "B", 1))
	u.reads(nc, ping)
	u.ended(nc)
	u.expect("")
	if want := `msg="client lost: what it sent is damaged" frames=2 damaged=2`; !strings.Contains(text.String(), want) {
		t.Errorf("logged %s, want %s", text.String(), want)
	}
}

// syncBuffer is a bytes.Buffer that many may write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A board that does not read ends its own connection, and nothing else waits.
func TestListenStuckWriter(t *testing.T) {
	before := runtime.NumGoroutine()
	u := newUART(t, "slip", serial.ListenOptions{WriteTimeout: 50 * time.Millisecond})
	u.Send(u.frame(connect))
	nc := u.accept()
	big := append([]byte{0x30, 0x80, 0x80, 0x04}, make([]byte, 0x10000)...)
	nc.SetWriteDeadline(time.Now().Add(soon))
	_, err := nc.Write(big)
	if err == nil {
		_, err = nc.Write(big)
	}
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write to a line that takes nothing: %v", err)
	}
	u.ln.Close()
	u.Unplug()
	for deadline := time.Now().Add(soon); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

// Close gives the owner of a connection time for a last word, and it reaches
// the wire.
func TestListenCloseSaysGoodbye(t *testing.T) {
	u := newUART(t, "cobs", serial.ListenOptions{})
	u.Send(u.frame(connect))
	nc := u.accept()
	closed := make(chan struct{})
	go func() { u.ln.Close(); close(closed) }()
	if _, err := u.ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept while closing: %v", err)
	}
	if _, err := nc.Write([]byte("\xe0\x01\x8b")); err != nil {
		t.Error(err)
	}
	nc.Close()
	u.expect("\xe0\x01\x8b")
	u.expect("")
	<-closed
}

// The example of FRAMES.md, byte by byte.
func TestPacketFrameExample(t *testing.T) {
	for framing, want := range map[string]string{"cobs": "02 c0 03 0b 5b 00", "slip": "c0 db dc 00 0b 5b c0"} {
		u := newUART(t, framing, serial.ListenOptions{})
		u.Send(u.frame(connect))
		nc := u.accept()
		u.Send(string(unhex(t, want)))
		u.reads(nc, ping)
	}
}

func TestListenOptions(t *testing.T) {
	for _, set := range []func(*serial.ListenOptions){
		func(o *serial.ListenOptions) { o.Framing = "stx_etx" },
		func(o *serial.ListenOptions) { o.Port.Baud = 1 },
		func(o *serial.ListenOptions) { o.MaxPacket = 1 << 30 },
	} {
		o := serial.ListenOptions{Port: serial.DefaultConfig(), Framing: "cobs"}
		o.Port.Path = "/dev/ttyX"
		set(&o)
		if ln, err := serial.Listen(o); err == nil {
			ln.Close()
			t.Errorf("%+v is taken", o)
		}
	}
}

// cable connects two ports, as two adapters with crossed wires.
func cable(t *testing.T) (a, b *serialtest.Device) {
	a, b = serialtest.Pty(t), serialtest.Pty(t)
	for _, d := range [][2]*serialtest.Device{{a, b}, {b, a}} {
		go func() {
			buf := make([]byte, 4096)
			for {
				n, err := d[0].Read(buf)
				if err != nil {
					return // the test is over
				}
				if _, err := d[1].Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
	return a, b
}

func TestDial(t *testing.T) {
	here, there := cable(t)
	options := func(d *serialtest.Device) serial.ListenOptions {
		o := serial.ListenOptions{Port: serial.DefaultConfig(), Framing: "cobs"}
		o.Port.Path = d.Path()
		return o
	}
	ln, err := serial.Listen(options(here))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range 3 {
		c, err := serial.Dial(options(there))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, connect[:2])
		io.WriteString(c, connect[2:])
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		big := append([]byte{0x30, 0x80, 0x80, 0x04}, bytes.Repeat([]byte{0, 1, 2, 3}, 0x4000)...)
		go func() {
			io.WriteString(s, connack)
			s.Write(big)
		}()
		got := make([]byte, len(connack)+len(big))
		c.SetReadDeadline(time.Now().Add(soon))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, append([]byte(connack), big...)) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		c.Close()
		s.SetReadDeadline(time.Now().Add(soon))
		if rest, err := io.ReadAll(s); err != nil || string(rest) != connect {
			t.Errorf("the server read %q, %v", rest, err)
		}
		s.Close()
	}
	c, err := serial.Dial(options(there))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, connect)
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(s, connack)
	s.Close()
	c.SetReadDeadline(time.Now().Add(soon))
	if rest, err := io.ReadAll(c); err != nil || string(rest) != connack {
		t.Errorf("a connection that the server closes: %q, %v", rest, err)
	}
}

// A delimiter that is damaged makes a packet longer by a byte, and its checksum
// right again.
func TestDialLongerPacket(t *testing.T) {
	there := serialtest.Pty(t)
	o := serial.ListenOptions{Port: serial.DefaultConfig(), Framing: "cobs"}
	o.Port.Path = there.Path()
	c, err := serial.Dial(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := serial.Framing{Kind: "cobs", BigEndian: true, Max: 100}
	f.Check, _ = serial.CheckNamed("crc16_ccitt_false")
	good, _ := f.Append(nil, []byte(connack))
	long, err := f.Append(good, []byte("\x30\x05\x00\x01aOK"))
	if err != nil {
		t.Fatal(err)
	}
	long[len(long)-1] = 1
	there.Send(string(long) + "\x00")
	c.SetReadDeadline(time.Now().Add(soon))
	if got, err := io.ReadAll(c); !errors.Is(err, io.ErrUnexpectedEOF) || string(got) != connack {
		t.Errorf("%q, %v", got, err)
	}
}
