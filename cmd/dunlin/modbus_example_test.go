//go:build linux

package main

import (
	"context"
	"io/fs"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
)

// unitBuses are the real buses with units of ours on every Modbus line.
type unitBuses struct {
	*bus.Buses
	units *modbustest.Units

	mu    sync.Mutex
	lines map[string]*modbus.Master
}

// Modbus implements sensors.Buses.
func (b *unitBuses) Modbus(id string) (*modbus.Master, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lines[id] == nil {
		tcp := id == "roof"
		b.lines[id] = modbus.New(modbus.Options{TCP: tcp, Timeout: 5 * time.Second, Open: func(context.Context) (modbus.Conn, error) {
			near, far := modbustest.Wire()
			if tcp {
				go b.units.ServeTCP(far)
			} else {
				go b.units.ServeRTU(far)
			}
			return near, nil
		}})
	}
	return b.lines[id], nil
}

// The example runs as it is, on models of its machines.
func TestModbusExampleOnModels(t *testing.T) {
	text, err := fs.ReadFile(config.Examples(), "modbus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	real, err := bus.New(nil, "/")
	if err != nil {
		t.Fatal(err)
	}
	u := &modbustest.Units{}
	u.Set(1, modbustest.Input, 0, make([]uint16, 14)...)
	for address, v := range map[uint16]float32{0: 230.5, 6: 4.25, 12: 979.5, 0x156: 1234.5} {
		bits := math.Float32bits(v)
		u.Set(1, modbustest.Input, address, uint16(bits>>16), uint16(bits))
	}
	u.Set(7, modbustest.Holding, 8192, 0, 0)
	u.Set(7, modbustest.Holding, 8451, 2475)
	u.Set(3, modbustest.Holding, 40, 500, 0)
	u.Set(3, modbustest.Discrete, 12, 1)
	buses := &unitBuses{Buses: real, units: u, lines: map[string]*modbus.Master{}}
	defer func() {
		for _, m := range buses.lines {
			m.Close()
		}
	}()
	_, g, stop := startGateway(t, "node: works\n"+strings.Replace(string(text), `":1883"`, `"127.0.0.1:0"`, 1), deps{buses: buses})
	defer stop() // before the lines are closed

	c, err := g.broker.Attach(broker.ClientOptions{ID: "observer", CleanStart: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Subscribe(ctx, mqtt.Subscription{Filter: "dunlin/works/#"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(ctx, mqtt.Message{Topic: "dunlin/works/pump_drive/setpoint/set", Payload: []byte("42.5")}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"grid_meter/voltage": "230.5", "grid_meter/current": "4.25", "grid_meter/power": "979.5", "grid_meter/energy": "1234.5",
		"pump_drive/speed": "24.75", "pump_drive/run": "OFF", "inverter/yield": "50", "inverter/fault": "ON",
		"grid_meter/availability": "online", "pump_drive/availability": "online", "inverter/availability": "online",
	}
	for len(want) > 0 {
		m, err := c.Next(ctx)
		if err != nil {
			t.Fatalf("%v; still wanted: %v", err, want)
		}
		topic := strings.TrimPrefix(m.Topic, "dunlin/works/")
		if v, ok := want[topic]; ok && v == string(m.Payload) {
			delete(want, topic)
		}
	}
	stop()
	if run := u.Get(7, modbustest.Holding, 8192); run != 0 {
		t.Errorf("the drive runs on: %04x", run)
	}
}
