package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// deviceConfiguration is of the devices: the paths of two serial ports and the
// address of a Modbus unit are to be filled in.
const deviceConfiguration = `
gateway: {defaults: {interval: 500ms, stale_after: 2s, will_delay: 1s}}
buses: [{id: line, type: modbus_tcp, address: %[3]q, timeout: 500ms}]
devices:
  - name: board
    driver: lines
    port: {path: %[1]q}
    commands: {relay: {send: "{{1|0}}\n", expect: {path: relay}}}
    entities: {a: {filters: [{throttle: 1s}]}, b: {filters: [{delta: 9}]}, relay: {type: bool}}
  - {name: gps, driver: nmea, port: {path: %[2]q}}
  - name: meter
    driver: modbus
    bus: line
    unit: 1
    registers:
      - {name: x, address: 0, type: uint32}
      - {name: y, address: 2, type: uint32, interval: 1s}
      - {name: relay, address: 0, table: coil, writable: true}
  - name: model
    driver: sim
    fail_every: 7
    entities:
      wave: {signal: sine, min: 0, max: 10, period: 5s, filters: [{calibrate_linear: [0 -> 100, 10 -> 110]}, {delta: 0.5}]}
      walk: {signal: random_walk, min: 200, max: 210, period: 3s, filters: [{median: {window_size: 5}}, {round: 1}]}
      level: {signal: step, min: 300, max: 310, period: 2s, filters: [{throttle_average: 1s}]}
  - {name: host, driver: system}
`

const (
	staleAfter  = 2 * time.Second // as configured
	willDelay   = time.Second
	keptLonger  = 2 * time.Second // for so long after the will a command may be for the session that was
	outageTakes = 25 * time.Second
)

// device is a device of the gateway as a subscriber sees it.
type device struct {
	gauges map[string]*gauge // by entity
	any    bool              // it has entities that are not listed
	online bool
	times  int // it came online
}

// fleet is all devices. Three are this program's own: the board and the
// receiver on pseudo terminals, the meter behind Modbus TCP (instrument.go).
type fleet struct {
	world       *world
	instruments []*instrument
	wire        *wire // subscribed to the devices' topics

	mu       sync.Mutex
	devices  map[string]*device
	answers  map[string]string // results of commands, by Correlation Data
	commands int               // sent; less than there are Packet Identifiers
}

const fleetBase = "dunlin/soak/"

// newFleet plugs in the devices and returns their configuration.
func newFleet(dir string) (*fleet, string, error) {
	numbered := 0
	next := func() *gauge { numbered++; return &gauge{id: numbered} }
	f := &fleet{answers: make(map[string]string), devices: map[string]*device{
		"board": {gauges: map[string]*gauge{"a": next(), "b": next(), "relay": {}, "rejected_lines": {}}},
		"gps":   {gauges: map[string]*gauge{"altitude": next()}, any: true},
		"meter": {gauges: map[string]*gauge{"x": next(), "y": next(), "relay": {}}},
		"model": {gauges: map[string]*gauge{"wave": {min: 100, max: 110}, "walk": {min: 200, max: 210}, "level": {min: 300, max: 310}}},
		"host":  {gauges: map[string]*gauge{}, any: true},
	}}
	board, err := newBoard(f, filepath.Join(dir, "board"))
	if err != nil {
		return nil, "", err
	}
	gps, err := newReceiver(f, filepath.Join(dir, "gps"))
	if err != nil {
		return nil, "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	f.instruments = []*instrument{board, gps, newMeter(f, ln)}
	return f, fmt.Sprintf(deviceConfiguration, filepath.Join(dir, "board"), filepath.Join(dir, "gps"), ln.Addr()), nil
}

// start lets the devices talk, until stop is called, and waits for them to be
// online.
func (f *fleet) start(w *world) (stop func(), err error) {
	f.world = w
	if f.wire, err = w.watcher("devices", mqtt.V5, fleetBase+"#", mqtt.AtLeastOnce, f.take); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var talking sync.WaitGroup
	for _, i := range f.instruments {
		talking.Go(func() { i.talk(ctx) })
		talking.Go(func() { i.serve(ctx) })
	}
	talking.Go(func() {
		for ; ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
			f.judge(time.Now())
		}
	})
	for name := range f.devices {
		f.awaitOnline(name, true)
	}
	return func() {
		cancel()
		f.wire.nc.Close()
		for _, i := range f.instruments {
			i.must(i.outages[unplugged].begin())
		}
		talking.Wait()
	}, nil
}

// live has each instrument of its own commanded, silenced and unplugged until
// ctx ends. At the end all are back.
func (f *fleet) live(ctx context.Context) {
	var living sync.WaitGroup
	for _, i := range f.instruments {
		living.Go(func() { i.live(ctx) })
	}
	living.Wait()
}

// take is given every message below the base.
func (f *fleet) take(v *packet.View) {
	topic, payload := string(v.Publish.Topic), string(v.Publish.Payload)
	if err := f.taken(strings.TrimPrefix(topic, fleetBase), payload, &v.Properties); err != nil {
		f.world.fault(fmt.Sprintf("%s %.80q: %v", topic, payload, err))
	}
}

func (f *fleet) taken(topic, payload string, p *packet.Properties) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, rest, _ := strings.Cut(topic, "/")
	d, entity := f.devices[name], rest
	if name == "status" || rest == "health" || strings.HasSuffix(rest, "/set") {
		return nil
	}
	if d == nil {
		return errors.New("there is no such device")
	}
	if strings.HasSuffix(rest, "/result") {
		command := string(p.CorrelationData)
		if before, twice := f.answers[command]; twice {
			return fmt.Errorf("command %s had its result: %s", command, before)
		}
		f.answers[command] = payload
		return nil
	}
	if rest == "availability" {
		if d.online = payload == "online"; d.online {
			d.times++
			return d.judge(time.Now(), f.world.late)
		}
		return nil
	}
	g := d.gauges[entity]
	if g == nil {
		if !d.any {
			return errors.New("there is no such entity")
		}
		g = &gauge{}
		d.gauges[entity] = g
	}
	return g.take(payload, captured(p))
}

// captured is when the server says that a value was read.
func captured(p *packet.Properties) (at time.Time) {
	for _, u := range p.User {
		if string(u.Name) == "ts" {
			at, _ = time.Parse(time.RFC3339, string(u.Value)) // zero is refused
		}
	}
	return at
}

// judge looks for values that are too old beside online.
func (d *device) judge(now time.Time, late time.Duration) error {
	if !d.online {
		return nil
	}
	for entity, g := range d.gauges {
		if err := g.judge(now, staleAfter+willDelay+late); err != nil {
			return fmt.Errorf("%s: %w", entity, err)
		}
	}
	return nil
}

func (f *fleet) judge(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, d := range f.devices {
		if err := d.judge(now, f.world.late); err != nil {
			f.world.fault(name + ": " + err.Error())
		}
	}
}

func (f *fleet) awaitOnline(name string, online bool) {
	f.world.await(name, func() string {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.devices[name].online != online {
			return fmt.Sprintf("online is %v", !online)
		}
		return ""
	})
}

// command sends ON or OFF to a device's relay and waits for its result, which
// must say whether it was carried out.
func (f *fleet) command(name string, on, carriedOut bool) {
	f.mu.Lock()
	f.commands++
	number := uint16(f.commands)
	id := strconv.Itoa(f.commands)
	f.mu.Unlock()
	payload := "OFF"
	if on {
		payload = "ON"
	}
	topic := fleetBase + name + "/relay/set"
	v := &packet.View{Type: packet.PUBLISH, ID: number, Publish: packet.Publish{Topic: []byte(topic), QoS: mqtt.AtLeastOnce, Payload: []byte(payload)}}
	v.Properties.Has, v.Properties.CorrelationData = packet.HasCorrelationData, []byte(id)
	if err := f.wire.send(v); err != nil {
		f.world.fault(topic + ": " + err.Error())
		return
	}
	var answer string
	f.world.await(topic, func() string {
		f.mu.Lock()
		defer f.mu.Unlock()
		if answer = f.answers[id]; answer == "" {
			return "command " + id + " has no result"
		}
		return ""
	})
	var result struct{ OK bool }
	if err := json.Unmarshal([]byte(answer), &result); answer != "" && (err != nil || result.OK != carriedOut) {
		f.world.fault(fmt.Sprintf("%s: command %s %s: result %s, want carried out %v", topic, id, payload, answer, carriedOut))
	}
}

// String says what the devices went through.
func (f *fleet) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	times := 0
	for _, d := range f.devices {
		times += d.times
	}
	return fmt.Sprintf("%d devices, %d times online, %d commands", len(f.devices), times, f.commands)
}
