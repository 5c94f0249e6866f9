package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// A listener of the configuration on a serial port answers CONNECT, and
// refuses a packet larger than its packet_size.
func TestSerialListener(t *testing.T) {
	pty, far := serialtest.Pty(t), serialtest.Pty(t)
	for _, wire := range [][2]*serialtest.Device{{pty, far}, {far, pty}} {
		go func() {
			b := make([]byte, 4096)
			for {
				n, err := wire[0].Read(b)
				if err != nil {
					return // the test is over
				}
				if _, err := wire[1].Write(b[:n]); err != nil {
					return
				}
			}
		}()
	}
	startGateway(t, fmt.Sprintf(`
node: barn
mqtt: {listeners: [{bind: "serial:%s", baud: 57600, framing: slip, anonymous: true, limits: {packet_size: 200B}}]}
`, pty.Path()), deps{})
	o := serial.ListenOptions{Port: serial.DefaultConfig(), Framing: "slip"}
	o.Port.Path = far.Path()
	c, err := serial.Dial(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := func(request string, want string) {
		t.Helper()
		if _, err := c.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 100)
		if n, err := c.Read(b); string(b[:n]) != want {
			t.Errorf("answer % x, %v; want % x", b[:n], err, want)
		}
	}
	answer("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", "\x20\x02\x00\x00")
	answer("\xc0\x00", "\xd0\x00")
	answer("\x30\xc9\x01\x00\x01t"+string(make([]byte, 198)), "") // 204 bytes: the connection ends
}
