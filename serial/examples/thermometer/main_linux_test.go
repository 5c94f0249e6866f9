package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

const patience = 20 * time.Second

// gateway is a server whose listener is the port, and a client in it that
// hears everything.
type gateway struct {
	t  *testing.T
	in *broker.Client
	// heard, when not nil, is told every message.
	heard func(topic, payload string)
}

func newGateway(t *testing.T, port string) *gateway {
	t.Helper()
	o := serial.ListenOptions{Port: serial.DefaultConfig(), Framing: "cobs"}
	o.Port.Path = port
	ln, err := serial.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.Options{Listeners: []broker.ListenerOptions{{Name: "uart", Listener: ln, Anonymous: true}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		ln.Close() // waits for the port
	})
	g := &gateway{t: t}
	if g.in, err = b.Attach(broker.ClientOptions{ID: "ears"}); err != nil {
		t.Fatal(err)
	}
	if err := g.in.Subscribe(ctx, mqtt.Subscription{Filter: "#", QoS: mqtt.ExactlyOnce}); err != nil {
		t.Fatal(err)
	}
	return g
}

// next waits for a message on a topic; others are dropped.
func (g *gateway) next(topic string) string {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	for {
		m, err := g.in.Next(ctx)
		if err != nil {
			g.t.Fatalf("no message on %s: %v", topic, err)
		}
		if g.heard != nil {
			g.heard(m.Topic, string(m.Payload))
		}
		if m.Topic == topic {
			return string(m.Payload)
		}
	}
}

// adapter is the client's end of the wire: a terminal whose other side is the
// gateway's.
func adapter(t *testing.T, d *serialtest.Device) *serialtest.Device {
	t.Helper()
	far := serialtest.Pty(t)
	move := func(from, to *serialtest.Device) {
		b := make([]byte, 4096)
		for t.Context().Err() == nil {
			n, err := from.Read(b)
			if err == nil {
				_, err = to.Write(b[:n])
			}
			if err != nil { // unplugged, or quiet for long
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	go move(far, d)
	go move(d, far)
	return far
}

func TestThermometer(t *testing.T) {
	port := serialtest.Pty(t)
	g := newGateway(t, port.Path())
	far := adapter(t, port)
	o := serial.ListenOptions{Port: serial.DefaultConfig(), Framing: "cobs"}
	o.Port.Path = far.Path()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	n := 20
	go func() {
		defer close(done)
		publish(ctx, o, func() string { n++; return strconv.Itoa(n) }, time.Millisecond)
	}()
	for want := 21; want < 30; want++ {
		if got := g.next("thermometer/temperature"); got != strconv.Itoa(want) {
			t.Fatalf("temperature %s, want %d", got, want)
		}
	}
	port.Unplug()
	if got := g.next("thermometer/status"); got != "offline" {
		t.Errorf("will %q", got)
	}
	port.Replug()
	g.next("thermometer/temperature")
	cancel()
	<-done
}

// The sketch compiles as a board's core would have it.
func TestSketch(t *testing.T) {
	cxx, err := exec.LookPath("c++")
	if err != nil {
		t.Skip("no C++ compiler")
	}
	if out, err := exec.Command(cxx, "-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "testdata/sketch.cpp").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// The Arduino's client, compiled for this machine, counts with QoS 1: nothing
// is missing whatever happens to the line, and the gateway's messages reach
// it.
func TestArduino(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	binary := filepath.Join(t.TempDir(), "board")
	if out, err := exec.Command(cc, "-Wall", "-Wextra", "-Werror", "-o", binary, "testdata/board.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port := serialtest.Pty(t)
	g := newGateway(t, port.Path())
	far := adapter(t, port)
	board := exec.Command(binary, far.Path())
	board.Stderr = os.Stderr
	if err := board.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		board.Process.Kill()
		board.Wait()
	}()
	count := -1
	g.heard = func(topic, payload string) {
		if topic != "board/count" {
			return
		}
		n, err := strconv.Atoi(payload)
		if err != nil || n > count+1 {
			t.Errorf("count %s after %d", payload, count)
		}
		count = max(count, n) // with QoS 1 one may come twice
	}
	counts := func(n int) {
		t.Helper()
		for range n {
			g.next("board/count")
		}
	}
	counts(50)
	for i := range 2 {
		text := fmt.Sprintf("hello %d", i)
		if err := g.in.Publish(t.Context(), mqtt.Message{Topic: "board/set", Payload: []byte(text), QoS: mqtt.AtLeastOnce}); err != nil {
			t.Fatal(err)
		}
		if got := g.next("board/echo"); got != text {
			t.Errorf("echo %q, want %q", got, text)
		}
	}
	// What is larger than its buffer is passed over, else it would come again
	// after every reconnect.
	for _, text := range []string{strings.Repeat("x", 120), strings.Repeat("x", 5000), "after"} {
		if err := g.in.Publish(t.Context(), mqtt.Message{Topic: "board/set", Payload: []byte(text), QoS: mqtt.AtLeastOnce}); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.next("board/echo"); got != "after" {
		t.Errorf("echo %q", got)
	}
	// A damaged delimiter makes "OK" with its checksum "OK" and a byte of that, and
	// the checksum is right again: nothing of the packet is believed.
	longer := serial.Framing{Kind: "cobs", BigEndian: true, Max: 100}
	longer.Check, _ = serial.CheckNamed("crc16_ccitt_false")
	longest := packet.AppendPublish(nil, mqtt.V311, &mqtt.Message{Topic: "board/set", Payload: []byte("OK")}, &packet.PublishHeader{})
	frame, err := longer.Append([]byte{0}, longest)
	if err != nil {
		t.Fatal(err)
	}
	frame[len(frame)-1] = 1
	far.Send(string(frame) + "\x00")
	if err := g.in.Publish(t.Context(), mqtt.Message{Topic: "board/set", Payload: []byte("next"), QoS: mqtt.AtLeastOnce}); err != nil {
		t.Fatal(err)
	}
	if got := g.next("board/echo"); got != "next" {
		t.Errorf("echo %q", got)
	}
	port.Send("\x05noise\x00") // a damaged frame costs the connection and nothing else
	counts(50)
	port.Unplug()
	if got := g.next("board/status"); got != "offline" {
		t.Errorf("will %q", got)
	}
	port.Replug()
	counts(50)
}
