package sensors_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Of more commands than may wait the newest is refused, but for one that brings
// its output to rest: it takes the place of the newest that waits.
func TestThereIsRoomForOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, r := newFakeBroker(), newFakeRelay(sensors.Safety{})
		r.fakeDriver.read = func(_ context.Context, n int) ([]sensors.Reading, error) {
			if n > 1 {
				time.Sleep(time.Second)
			}
			return r.state()
		}
		_, stop := run(t, b, sensors.Device{Name: "heater", Driver: r, Interval: 10 * time.Second})
		after(10*time.Second + time.Millisecond) // the second reading is under way
		for range 17 {
			b.send("dev:heater", set("relay", "ON"))
			after(0)
		}
		if n := strings.Count(strings.Join(b.all(), " "), "commands are waiting"); n != 1 {
			t.Errorf("%d of 17 commands were refused", n)
		}
		b.send("dev:heater", set("relay", "OFF"))
		after(0)
		if n := strings.Count(strings.Join(b.all(), " "), "commands are waiting"); n != 2 {
			t.Errorf("%d were refused with OFF", n)
		}
		after(5 * time.Second)
		if saw := r.saw(); saw != strings.Repeat("ON ", 15)+"OFF" {
			t.Errorf("the relay was told %s", saw)
		}
		stop()
	})
}

// A device with outputs whose session somebody took over comes back with another
// one, is online again and obeys.
func TestASessionWithOutputsIsTakenOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, r := newFakeBroker(), newFakeRelay(sensors.Safety{})
		_, stop := run(t, b, sensors.Device{Name: "heater", Driver: r, Interval: time.Minute, WillDelay: time.Second})
		after(5 * time.Second)
		b.mu.Lock()
		s := b.sessions["dev:heater"]
		b.mu.Unlock()
		s.end(func() { s.fire(0) }) // as when the one who takes it over begins anew
		after(2 * time.Second)
		if a := got(b, "heater/availability"); len(a) == 0 || a[len(a)-1] != "online" {
			t.Errorf("availability was %q", a)
		}
		b.send("dev:heater", set("relay", "ON"))
		after(0)
		if saw := r.saw(); saw != "ON" {
			t.Errorf("the relay was told %q", saw)
		}
		stop()
	})
}
