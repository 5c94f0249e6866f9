//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// From the configuration to topics, over both kinds of line: values, a
// command with its result, a unit that goes silent and comes back while its
// neighbor never leaves.
func TestModbusEndToEnd(t *testing.T) {
	t.Parallel() // it waits more than it works
	u := &modbustest.Units{}
	volts := math.Float32bits(230.5)
	u.Set(1, modbustest.Input, 0, uint16(volts>>16), uint16(volts))
	u.Set(7, modbustest.Holding, 8192, 0, 1000)
	u.Set(3, modbustest.Holding, 40, 0, 0x0001) // CDAB: 65536
	var mute struct {
		sync.Mutex
		on bool
	}
	u.Twist = func(_ int, r, a []byte, send func([]byte)) {
		mute.Lock()
		defer mute.Unlock()
		if !mute.on || r[0] != 7 {
			send(a)
		}
	}
	pty := serialtest.Pty(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go u.ServeRTU(pty)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go u.ServeTCP(c)
		}
	}()
	_, g, _ := startGateway(t, fmt.Sprintf(`
node: barn
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
buses:
  - {id: rs485a, type: modbus_rtu, port: {path: %s}, baud: 115200, timeout: 200ms, turnaround: 2ms, recovery: 300ms}
  - {id: roof, type: modbus_tcp, address: "%s"}
devices:
  - name: meter
    driver: modbus
    bus: rs485a
    unit: 1
    interval: 100ms
    fail_after: 30              # a busy machine may be late itself
    will_delay: 0s
    stale_after: 10m
    registers:
      - {name: voltage, address: 0, table: input, type: float32, unit_of_measurement: V, filters: [{range: {min: 100, max: 300}}]}
  - name: drive
    driver: modbus
    bus: rs485a
    unit: 7
    interval: 200ms
    will_delay: 0s
    stale_after: 10m
    registers:
      - {name: run, address: 8192, type: bit, bit: 2, writable: true}
      - {name: setpoint, address: 8193, scale: 0.01, writable: {min: 0, max: 50}}
  - name: inverter
    driver: modbus
    bus: roof
    unit: 3
    interval: 100ms
    registers:
      - {name: yield, address: 40, type: uint32, word_order: little_swap, scale: 0.1}
`, pty.Path(), l.Addr()), deps{})

	c, err := g.broker.Attach(broker.ClientOptions{ID: "observer", CleanStart: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := c.Subscribe(ctx, mqtt.Subscription{Filter: "dunlin/barn/#"}); err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	meterLeft := false
	until := func(topic, payload string) {
		t.Helper()
		for !strings.Contains(last[topic], payload) {
			m, err := c.Next(ctx)
			if err != nil {
				t.Fatalf("no %s with %s: %v; last %v", topic, payload, err, last)
			}
			name := strings.TrimPrefix(m.Topic, "dunlin/barn/")
			last[name] = string(m.Payload)
			meterLeft = meterLeft || name == "meter/availability" && string(m.Payload) == "offline"
		}
	}
	command := func(topic, payload string) {
		t.Helper()
		delete(last, strings.TrimSuffix(topic, "set")+"result")
		if err := c.Publish(ctx, mqtt.Message{Topic: "dunlin/barn/" + topic, Payload: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
	}
	until("meter/voltage", "230.5")
	until("meter/availability", "online")
	until("inverter/yield", "6553.6")
	until("drive/run", "OFF")
	until("drive/setpoint", "10")
	until("drive/availability", "online")

	command("drive/setpoint/set", "12.5")
	until("drive/setpoint/result", `"ok":true`)
	until("drive/setpoint", "12.5")
	command("drive/setpoint/set", "51")
	until("drive/setpoint/result", "more than 50")
	command("drive/run/set", "ON")
	until("drive/run/result", `"ok":true`)
	until("drive/run", "ON")
	if run, speed := u.Get(7, modbustest.Holding, 8192), u.Get(7, modbustest.Holding, 8193); run != 4 || speed != 1250 {
		t.Errorf("registers %d and %d, want 4 and 1250", run, speed)
	}

	silence := func(on bool) {
		mute.Lock()
		defer mute.Unlock()
		mute.on = on
	}
	silence(true)
	until("drive/availability", "offline")
	until("drive/health", `"reason":"timeout"`)
	silence(false)
	until("drive/availability", "online")
	if meterLeft {
		t.Error("the meter left too, although only the drive was silent")
	}
}
