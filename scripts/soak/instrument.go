package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// instrument is a device that this program plays.
type instrument struct {
	fleet    *fleet
	name     string
	say      func(numbers []int) // says the next number of each gauge
	gauges   []*gauge
	talking  sync.Mutex
	silent   atomic.Bool // changed between two things that it says
	outages  [outages]outage
	serve    func(ctx context.Context) // takes commands until ctx ends
	switched func() bool               // the relay; nil: it has none
}

// outage is a way in which an instrument is away.
type outage struct{ begin, end func() error }

// The outages of an instrument.
const (
	silently = iota
	unplugged
	outages
)

func nothing() error { return nil }

// talk says something new five times a second.
func (i *instrument) talk(ctx context.Context) {
	numbers := make([]int, len(i.gauges))
	for ; ctx.Err() == nil; pause(ctx, 200*time.Millisecond) {
		i.talking.Lock()
		if !i.silent.Load() {
			i.fleet.mu.Lock()
			for n, g := range i.gauges {
				numbers[n] = g.say(time.Now())
			}
			i.fleet.mu.Unlock()
			i.say(numbers)
		}
		i.talking.Unlock()
	}
}

// live commands the relay, takes the device away and brings it back, in turn
// by silence and by unplugging it.
func (i *instrument) live(ctx context.Context) {
	for round := 0; ctx.Err() == nil; round++ {
		for on := range 4 {
			i.command(on%2 == 0, true)
			pause(ctx, time.Second)
		}
		if end, limited := ctx.Deadline(); limited && time.Until(end) < outageTakes {
			return
		}
		i.vanish(round % outages)
	}
}

// vanish takes the instrument away until the gateway has said so for a while.
// Where it is away in silence the gateway does not know that at first.
func (i *instrument) vanish(how int) {
	i.talking.Lock()
	i.silent.Store(true)
	i.talking.Unlock()
	i.must(i.outages[how].begin())
	if how == silently {
		i.command(true, false)
	}
	i.fleet.awaitOnline(i.name, false)
	time.Sleep(keptLonger + willDelay)
	i.command(true, false)
	i.must(i.outages[how].end())
	i.silent.Store(false)
	i.fleet.awaitOnline(i.name, true)
	i.look(false) // what was asked for in an outage is not done after it
}

// command switches the relay, if there is one, and looks at it.
func (i *instrument) command(on, reachable bool) {
	if i.switched == nil {
		return
	}
	i.fleet.command(i.name, on, reachable)
	i.look(on && reachable)
}

// look reports a relay that is not as it should be.
func (i *instrument) look(want bool) {
	if i.switched != nil && i.switched() != want {
		i.fleet.world.fault(fmt.Sprintf("%s: the relay is on: %v", i.name, !want))
	}
}

func (i *instrument) must(err error) {
	if err != nil {
		i.fleet.world.fault(i.name + ": " + err.Error())
	}
}

// newPort is an instrument on a pseudo terminal.
func newPort(f *fleet, name, path string, entities ...string) (*instrument, *serialtest.Port, error) {
	p := serialtest.NewPort(path)
	i := &instrument{fleet: f, name: name, outages: [outages]outage{silently: {nothing, nothing}, unplugged: {p.Unplug, p.Plug}}, serve: func(context.Context) {}}
	for _, e := range entities {
		i.gauges = append(i.gauges, f.devices[name].gauges[e])
	}
	return i, p, p.Plug()
}

// newBoard talks JSON and has a relay, which 1 and 0 switch.
func newBoard(f *fleet, path string) (*instrument, error) {
	i, p, err := newPort(f, "board", path, "a", "b")
	var relay atomic.Bool
	i.switched = relay.Load
	i.say = func(n []int) { // what is written while it is unplugged is lost, as it should be
		fmt.Fprintf(p, "{\"a\": %d, \"b\": %d, \"relay\": %v}\n", n[0], n[1], relay.Load())
	}
	i.serve = func(ctx context.Context) {
		b := make([]byte, 1)
		for ctx.Err() == nil {
			if _, err := p.Read(b); err != nil { // it is unplugged
				pause(ctx, 50*time.Millisecond)
			} else if !i.silent.Load() && b[0] != '\n' {
				relay.Store(b[0] == '1')
				fmt.Fprintf(p, "{\"relay\": %v}\n", relay.Load())
			}
		}
	}
	return i, err
}

// newReceiver says where it is, and takes no commands.
func newReceiver(f *fleet, path string) (*instrument, error) {
	i, p, err := newPort(f, "gps", path, "altitude")
	i.say = func(n []int) {
		body := fmt.Sprintf("GPGGA,%s,4807.038,N,01131.000,E,1,08,0.9,%d,M,46.9,M,,", time.Now().UTC().Format("150405.00"), n[0])
		sum := byte(0)
		for _, b := range []byte(body) {
			sum ^= b
		}
		fmt.Fprintf(p, "$%s*%02X\r\n", body, sum)
	}
	return i, err
}

// newMeter is a Modbus unit with two registers of 32 bits and a coil. Silent,
// it answers nothing; unplugged, it takes no connection.
func newMeter(f *fleet, ln net.Listener) *instrument {
	g := f.devices["meter"].gauges
	i := &instrument{fleet: f, name: "meter", gauges: []*gauge{g["x"], g["y"]}}
	units := &modbustest.Units{}
	off := func() error { units.Set(1, modbustest.Coils, 0, 0); return nil }
	i.must(off())
	i.switched = func() bool { return units.Get(1, modbustest.Coils, 0) == 1 }
	i.say = func(n []int) {
		units.Set(1, modbustest.Holding, 0, uint16(n[0]>>16), uint16(n[0]), uint16(n[1]>>16), uint16(n[1]))
	}
	var gone atomic.Bool
	var connection atomic.Pointer[net.Conn] // the gateway has one
	hangUp := func() error {
		gone.Store(true)
		if c := connection.Load(); c != nil {
			(*c).Close()
		}
		return nil
	}
	i.outages = [outages]outage{
		silently:  {func() error { units.Remove(1); return nil }, off},
		unplugged: {hangUp, func() error { gone.Store(false); return nil }},
	}
	i.serve = func(ctx context.Context) {
		stop := context.AfterFunc(ctx, func() { ln.Close() })
		defer stop()
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if connection.Store(&c); gone.Load() {
				c.Close()
			}
			units.ServeTCP(c)
			c.Close()
		}
	}
	return i
}
