package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/serial"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: thermometer /dev/tty...")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o := serial.ListenOptions{Port: serial.DefaultConfig(), Framing: "cobs"}
	o.Port.Path, o.Port.Baud = os.Args[1], 115200
	publish(ctx, o, temperature, 10*time.Second)
}

// temperature is that of this machine's processor in degrees Celsius.
func temperature() string {
	b, err := os.ReadFile("/sys/class/thermal/thermal_zone0/temp")
	if text := strings.TrimSpace(string(b)); err == nil && len(text) > 3 {
		return text[:len(text)-3] + "." + text[len(text)-3:]
	}
	return "nan"
}

// publish says what read says, every interval, until ctx ends. A value that
// was not acknowledged is sent again on the next connection.
func publish(ctx context.Context, o serial.ListenOptions, read func() string, interval time.Duration) {
	t := &thermometer{options: o}
	for ctx.Err() == nil {
		if t.value == "" {
			t.value = read()
		}
		err := t.say()
		wait := interval
		if err != nil {
			log.Print(err)
			t.hangUp()
			wait = min(interval, time.Second)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	t.hangUp()
}

// answerTime is how long the gateway may take.
const answerTime = 5 * time.Second

// thermometer is the client's state.
type thermometer struct {
	options serial.ListenOptions
	line    net.Conn // nil: not connected
	value   string   // what is to be said, "" when it has been acknowledged
	id      uint16
	buf     []byte
}

// say publishes the value and waits until it is acknowledged.
func (t *thermometer) say() error {
	if t.line == nil {
		if err := t.connect(); err != nil {
			return err
		}
	}
	m := mqtt.Message{Topic: "thermometer/temperature", Payload: []byte(t.value), QoS: mqtt.AtLeastOnce, Retain: true}
	t.id = t.id%1000 + 1
	t.buf = packet.AppendPublish(t.buf[:0], mqtt.V311, &m, &packet.PublishHeader{ID: t.id, QoS: m.QoS, Retain: m.Retain})
	if err := t.exchange(packet.PUBACK); err != nil {
		return err
	}
	t.value = ""
	return nil
}

func (t *thermometer) connect() (err error) {
	if t.line, err = serial.Dial(t.options); err != nil {
		t.line = nil
		return err
	}
	hello := packet.View{Type: packet.CONNECT, Connect: packet.Connect{
		Version: mqtt.V311, ClientID: []byte("thermometer"), // Clean Session 0: the session stays
		HasWill: true, WillTopic: []byte("thermometer/status"), WillPayload: []byte("offline"), WillRetain: true,
	}}
	t.buf = packet.Append(t.buf[:0], mqtt.V311, &hello)
	return t.exchange(packet.CONNACK)
}

// exchange sends what is in buf and waits for a packet of type want.
func (t *thermometer) exchange(want packet.Type) error {
	if _, err := t.line.Write(t.buf); err != nil {
		return err
	}
	if err := t.line.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	var b []byte
	for {
		n, err := packet.Frame(b, 1000)
		if err != nil {
			return err
		}
		if n == 0 {
			more := make([]byte, 256)
			n, err := t.line.Read(more)
			if err != nil {
				return err
			}
			b = append(b, more[:n]...)
			continue
		}
		var v packet.View
		if err := packet.Decode(b[:n], mqtt.V311, &v); err != nil {
			return err
		}
		if v.Type == want && v.Reason >= 0x80 {
			return fmt.Errorf("the gateway refuses: %v", v.Reason)
		}
		if v.Type == want {
			return nil
		}
		b = b[n:]
	}
}

func (t *thermometer) hangUp() {
	if t.line != nil {
		_ = t.line.Close() // there is nothing left to do about it
		t.line = nil
	}
}
